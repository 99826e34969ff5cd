//! The printed roles, and the refusal of a file without a role model.

#![allow(clippy::unwrap_used)]

use std::fs;

use guestlist::{Role, RoleDefinition, RoleModel};
use insta::{Settings, assert_snapshot};
use serde_json::{Value as Json, json};

use crate::support::{CommandLine, Ran, text};

/// A model unlike the presets: a highest role without every permission, lists that differ, roles
/// without a title.
const STUDIO: &str = r#"
keeps = "chief"

[[role]]
name = "guest"

[[role]]
name = "editor"
title = "Editor, in charge"
permissions = ["docs.write", "größe.ändern"]
invites = ["guest"]

[[role]]
name = "clerk-2"
permissions = ["accounts.read"]
changes_from = ["editor"]
changes_to = ["guest"]
removes = ["guest", "chief"]

[[role]]
name = "chief"
includes = "editor"
"#;

fn role(name: &str) -> Role {
    name.parse().unwrap()
}

/// The printed matrix, parsed back into a role model.
fn model_of(printed: &str) -> RoleModel {
    let mut parts = printed.split("\n\n");
    let ranks = parts.next().unwrap();
    let ranks = ranks.strip_prefix("From lowest to highest: ").unwrap();
    let permissions = parts.next().unwrap();
    let grants = parts.next().unwrap();
    let remarks = parts.next().unwrap();
    let (_, keeps) = remarks
        .split_once("At least one member is always ")
        .unwrap();
    let keeps = keeps.split_once('.').unwrap().0;

    let mut roles: Vec<RoleDefinition> = header(permissions)
        .iter()
        .map(|name| RoleDefinition::new(role(name)))
        .collect();
    assert_eq!(header(permissions), header(grants));
    let mut rest = ranks.strip_suffix('.').unwrap();
    for definition in &mut roles {
        rest = rest.strip_prefix(definition.name().as_str()).unwrap();
        if let Some((title, after)) = rest
            .strip_prefix(" (")
            .and_then(|rest| rest.split_once(')'))
        {
            *definition = definition.clone().title(title);
            rest = after;
        }
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    assert_eq!(rest, "");
    for (permission, place) in marks(permissions) {
        roles[place] = roles[place].clone().permitting([permission]);
    }
    for (deed, place) in marks(grants) {
        let (deed, on) = deed.rsplit_once(' ').unwrap();
        let definition = roles[place].clone();
        roles[place] = match deed {
            "invite to" => definition.inviting([role(on)]),
            "change from" => definition.changing([role(on)], []),
            "change to" => definition.changing([], [role(on)]),
            "remove" => definition.removing([role(on)]),
            "transfer" => {
                assert_eq!((on, definition.name().as_str()), (keeps, keeps));
                definition
            }
            _ => panic!("no deed: {deed}"),
        };
    }
    RoleModel::new(roles, role(keeps)).unwrap()
}

/// The roles in the header of a table.
fn header(table: &str) -> Vec<String> {
    let titles = table.lines().next().unwrap().split_whitespace().skip(1);
    titles.map(str::to_lowercase).collect()
}

/// The rows of a table, with the positions of the marked roles.
fn marks(table: &str) -> Vec<(String, usize)> {
    let columns = header(table).len();
    let mut marked = Vec::new();
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (first, marks) = words.split_at(words.len() - columns);
        for (place, mark) in marks.iter().enumerate() {
            match *mark {
                "x" => marked.push((first.join(" "), place)),
                other => assert_eq!(other, "-", "{line}"),
            }
        }
    }
    marked
}

/// The printed objects, parsed back into a role model.
fn model_of_json(objects: &[Json]) -> RoleModel {
    let list = |object: &Json, name: &str| -> Vec<Role> {
        let names = object[name].as_array().unwrap().iter();
        names.map(|name| role(name.as_str().unwrap())).collect()
    };
    let roles = objects.iter().enumerate().map(|(rank, object)| {
        assert_eq!(object["rank"], json!(rank));
        let name = role(object["role"].as_str().unwrap());
        let permissions = object["permissions"].as_array().unwrap().iter();
        let definition = RoleDefinition::new(name.clone())
            .permitting(permissions.map(|permission| permission.as_str().unwrap()))
            .inviting(list(object, "invites"))
            .changing(list(object, "changes_from"), list(object, "changes_to"))
            .removing(list(object, "removes"));
        match object["title"].as_str().unwrap() {
            title if title == name.as_str() => definition,
            title => definition.title(title),
        }
    });
    let keeps: Vec<_> = objects
        .iter()
        .filter(|object| object["keeps_one"] == json!(true))
        .collect();
    assert_eq!(keeps.len(), 1);
    RoleModel::new(roles.collect(), role(keeps[0]["role"].as_str().unwrap())).unwrap()
}

fn snapshot(name: &str, page: &str) {
    let mut settings = Settings::new();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| assert_snapshot!(name, page));
}

#[test]
fn role_matrix_of_each_preset_matches_its_snapshot() {
    let command_line = CommandLine::on_sqlite();
    snapshot("roles_four-tier", &command_line.run("roles").done().stdout);
    let command_line = command_line.with("GUESTLIST_ROLES", "two-role");
    snapshot("roles_two-role", &command_line.run("roles").done().stdout);
}

#[test]
fn role_matrix_and_json_describe_the_whole_model() {
    for (variable, model) in [
        ("four-tier", RoleModel::four_tier()),
        ("two-role", RoleModel::two_role()),
        ("studio.toml", RoleModel::from_toml(STUDIO).unwrap()),
        (
            "alone.toml",
            RoleModel::new(vec![RoleDefinition::new(role("boss"))], role("boss")).unwrap(),
        ),
    ] {
        let command_line = CommandLine::on_sqlite().with("GUESTLIST_ROLES", variable);
        command_line.write("studio.toml", STUDIO);
        command_line.write("alone.toml", "keeps = 'boss'\n[[role]]\nname = 'boss'");
        let printed = command_line.run("roles").done().stdout;
        assert_eq!(model_of(&printed), model, "{printed}");
        assert_eq!(model_of_json(&command_line.all("roles")), model);
    }
    let command_line = CommandLine::on_sqlite();
    command_line.write("studio.toml", STUDIO);
    let checked = command_line.run("roles check studio.toml").done();
    assert_eq!(
        model_of(&checked.stdout),
        RoleModel::from_toml(STUDIO).unwrap()
    );
    assert!(
        checked.stderr.contains("GUESTLIST_ROLES=studio.toml"),
        "{checked:?}"
    );
}

/// The refusal of a file by `roles check`, as text and as JSON.
fn refusal(command_line: &CommandLine, file: &str) -> (Ran, Json) {
    let told = command_line.run(&format!("roles check {file}")).ended(2);
    assert_eq!(told.stdout, "");
    let printed = command_line
        .run(&format!("roles check {file} --json"))
        .ended(2);
    assert_eq!(printed.stderr, "");
    let object = printed.object();
    assert_eq!(
        (&object["invalid"], &object["file"]),
        (&json!("role_model"), &json!(file))
    );
    assert_eq!(
        told.stderr,
        format!("error: {}\n", text(&object["message"]))
    );
    (told, object)
}

#[test]
fn invalid_role_file_is_refused_with_advice() {
    let command_line = CommandLine::on_sqlite();
    let role = "[[role]]\nname = \"boss\"\n";
    let megabytes = format!("keeps = \"boss\"\n{role}#{}", "x".repeat(10 * 1024 * 1024));
    fs::create_dir(command_line.folder().join("folder")).unwrap();
    let unread = "give the path of a TOML file with a role model";
    let wrong = "correct the file and check it again";
    let files: [(&str, Option<&[u8]>, &str, &str); 10] = [
        (
            "missing.toml",
            None,
            "cannot be read: No such file or directory (os error 2)",
            unread,
        ),
        (
            "folder",
            None,
            "cannot be read: it is no regular file",
            unread,
        ),
        (
            "empty.toml",
            Some(b""),
            "there is no [[role]]; a role model has at least one role",
            wrong,
        ),
        (
            "large.toml",
            Some(megabytes.as_bytes()),
            "larger than 1 MiB, so it is not a role model",
            wrong,
        ),
        (
            "latin.toml",
            Some(b"keeps = \"boss\"\n# \xe9\n"),
            "line 2: not text in UTF-8",
            wrong,
        ),
        (
            "json.toml",
            Some(b"{\"keeps\": \"boss\"}"),
            "line 1, column 1: invalid key-value pair, expected key",
            wrong,
        ),
        (
            "open.toml",
            Some(role.as_bytes()),
            "no role is protected; `keeps` names the role that at least one member always has",
            wrong,
        ),
        (
            "number.toml",
            Some(b"keeps = 1"),
            "line 1, column 9: invalid type: integer `1`, expected a string",
            wrong,
        ),
        (
            "below.toml",
            Some(b"keeps = \"boss\"\n[[role]]\nname = \"boss\"\n[[role]]\nname = \"clerk\"\n"),
            "role boss must always have a holder, but role clerk ranks above it; the highest role comes last",
            wrong,
        ),
        (
            "title.toml",
            Some(b"keeps = \"boss\"\n[[role]]\nname = \"boss\"\ntitle = \"a\\r\\nBcc: x\"\n"),
            "the title of role boss cannot be shown in letters: the name holds a line break, an invisible character or an encoded word",
            wrong,
        ),
    ];
    for (file, content, problem, advice) in files {
        if let Some(content) = content {
            command_line.write(file, content);
        }
        let (told, object) = refusal(&command_line, file);
        assert_eq!(
            told.stderr,
            format!("error: {file}: {problem}\n  Nothing was changed; {advice}.\n")
        );
        let line = problem
            .strip_prefix("line ")
            .map(|rest| rest[..1].parse::<u32>().unwrap());
        assert_eq!(
            object.get("line"),
            line.map(|line| json!(line)).as_ref(),
            "{file}"
        );
    }
}

#[test]
fn worker_gives_the_same_refusal_for_its_variable() {
    let command_line = CommandLine::on_sqlite().with("GUESTLIST_ROLES", "roles.toml");
    command_line.write(
        "roles.toml",
        "keeps = \"boss\"\n[[role]]\nnane = \"boss\"\n",
    );
    let told = command_line.run("roles").ended(2).stderr;
    assert!(
        told.contains("GUESTLIST_ROLES: roles.toml: line 3, column 1: unknown key `nane`"),
        "{told}"
    );
    let told = command_line
        .with("GUESTLIST_ROLES", "three-tier")
        .run("roles")
        .ended(2)
        .stderr;
    assert!(
        told.contains("GUESTLIST_ROLES: three-tier is not a preset and cannot be read as a file"),
        "{told}"
    );
    assert!(
        told.contains("expected four-tier, two-role, or the path of a TOML file"),
        "{told}"
    );
}

#[test]
fn checked_role_model_is_used() {
    let command_line = CommandLine::on_sqlite();
    command_line.write("studio.toml", STUDIO);
    let command_line = command_line.with("GUESTLIST_ROLES", "studio.toml");
    let acme = command_line.organization();
    let owner = command_line.one(&format!("members --organization {acme}"));
    assert_eq!(owner["role"], "chief");
    let refused = command_line
        .run(&format!(
            "invite bob@acme.example --organization {acme} --role guest --as ann --json"
        ))
        .ended(3);
    assert_eq!(
        (&refused.object()["refused"], &refused.object()["role"]),
        (&json!("forbidden"), &json!("chief"))
    );
}

//! README compared with the library, the command and the files it shows.

use std::process::Command;

use guestlist::{Delivery, Limits, Role, RoleModel};
use guestlist_jobs::config::{Config, variables};
use guestlist_jobs::letters::Letters;

use crate::markdown::{block, missing_paths, read, rows, section, spans};

/// Runs the command as a reader would, in an empty environment.
fn guestlist(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_guestlist"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text)
}

#[test]
fn every_path_named_exists() {
    let none: [String; 0] = [];
    assert_eq!(missing_paths(&read("README.md")), none);
}

#[test]
fn the_quick_start_is_the_doctest_of_the_library() {
    let source = read("src/lib.rs");
    let front_page: String = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .filter(|line| !line.starts_with("# #") && !line.starts_with("# fn"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(block(&read("README.md"), "rust"), block(&front_page, ""));
}

#[test]
fn the_awaited_purge_is_a_doctest_of_the_worker() {
    let source = read("jobs/src/sessions/purge.rs");
    let (_, example) = source.split_once("/// ```no_run\n").unwrap();
    let lines = example.lines().map(|line| line.strip_prefix("///"));
    let example: String = lines
        .map_while(|line| line.filter(|line| *line != " ```"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let readme = read("README.md");
    let shown = section(&readme, "### Waiting for the purge");
    assert_eq!(block(shown, "rust"), example);
}

#[test]
fn the_table_of_variables_is_the_commands_own() {
    let (_, json) = guestlist(&["variables", "--json"]);
    let wanted: Vec<String> = json.lines().map(row).collect();
    assert_eq!(wanted.len(), variables::ALL.len());
    let readme = read("README.md");
    let table = section(&readme, "### Environment variables");
    let found: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(found, wanted, "README wants:\n{}\n", wanted.join("\n"));
}

/// A variable as a row of README's table.
fn row(json: &str) -> String {
    let variable: serde_json::Value = serde_json::from_str(json).unwrap();
    let text = |key: &str| variable[key].as_str().unwrap();
    let default = variable["default"]
        .as_str()
        .map_or("–".to_owned(), |default| format!("`{default}`"));
    let meaning = format!("{} Takes {}.", text("meaning"), text("expected"));
    // Unescaped, an address in angle brackets would become a link.
    let meaning = meaning.replace('<', "\\<");
    format!("| `{}` | {default} | {meaning} |", text("variable"))
}

#[test]
fn every_command_and_option_named_exists() {
    let readme = read("README.md");
    let blocks = readme.split("\n```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap().lines());
    let mut commands: Vec<String> = spans(&readme);
    commands.extend(lines.map(str::to_owned));
    commands.extend(table_of_commands());
    commands.retain(|command| command.starts_with("guestlist "));
    assert!(commands.len() > 40, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let help = help_of(&words).unwrap_or_else(|| panic!("{command} is no command"));
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{command} has no {option}");
        }
    }
}

/// The commands of the table, one name each: `create`, `list` stands for both of one command.
fn table_of_commands() -> Vec<String> {
    let readme = read("README.md");
    let mut commands = Vec::new();
    for row in rows(section(&readme, "## The worker and the command line")) {
        let mut names = spans(row[0]).into_iter();
        let Some(first) = names.next().filter(|name| name.starts_with("guestlist ")) else {
            continue;
        };
        let parent = first.rsplit_once(' ').unwrap().0;
        commands.extend(names.map(|name| format!("{parent} {name}")));
        let options = spans(row[1])
            .into_iter()
            .filter(|span| span.starts_with("--"));
        commands.extend(options.map(|option| format!("{first} {option}")));
        commands.push(first);
    }
    commands
}

/// The help of a command; a name of two words is a command and its subcommand.
fn help_of(words: &[&str]) -> Option<String> {
    let is_name = |word: &&&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let mut path = vec!["help"];
    let mut help = None;
    for name in words.iter().take_while(is_name) {
        path.push(name);
        let (ended_well, text) = guestlist(&path);
        if !ended_well {
            return None;
        }
        let has_commands = text.contains("\nCommands:\n");
        help = Some(text);
        if !has_commands {
            break;
        }
    }
    help
}

#[test]
fn every_command_there_is_stands_in_the_table() {
    let (_, help) = guestlist(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let listed = list.lines().take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let names: Vec<&str> = names.collect();
    assert!(names.contains(&"work"), "{help}");
    let table = table_of_commands();
    let own_line = |line: &&str| !line.is_empty() && *line != "help";
    for name in names.into_iter().filter(own_line) {
        let stands = table
            .iter()
            .any(|command| command.split(' ').nth(1) == Some(name));
        // A continued line of help starts with a word that is no command.
        let is_command = guestlist(&["help", name]).0;
        assert!(stands || !is_command, "guestlist {name} is missing");
    }
}

#[test]
fn the_exit_statuses_are_those_of_the_help() {
    let (_, help) = guestlist(&["--help"]);
    let (_, statuses) = help.split_once("Exit status: ").unwrap();
    let statuses = statuses.lines().next().unwrap().trim_end_matches('.');
    let readme = read("README.md");
    for status in statuses.split(", ") {
        let (number, meaning) = status.split_once(' ').unwrap();
        assert!(
            readme.contains(&format!("| `{number}` | {meaning}")),
            "{status}"
        );
    }
}

#[test]
fn the_procfile_is_the_one_shown() {
    let readme = read("README.md");
    assert_eq!(
        block(section(&readme, "### Procfile"), ""),
        read("Procfile")
    );
}

#[test]
fn the_cargo_features_are_those_of_the_manifest() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    let default = features["default"].as_array().unwrap();
    let wanted = features
        .keys()
        .filter(|name| *name != "default")
        .map(|name| {
            let is_default = default.iter().any(|each| each.as_str() == Some(name));
            (format!("`{name}`"), if is_default { "yes" } else { "no" })
        });
    let readme = read("README.md");
    let rows = rows(section(&readme, "### Cargo features"));
    let found = rows.iter().map(|row| (row[0].to_owned(), row[1]));
    assert!(found.eq(wanted));
}

#[test]
fn the_role_model_shown_is_valid_and_means_what_its_remarks_say() {
    let readme = read("README.md");
    let model = RoleModel::from_toml(block(section(&readme, "## Roles"), "toml")).unwrap();
    let role = |name: &str| name.parse::<Role>().unwrap();
    assert_eq!(model.keeps(), &role("chief"));
    assert!(model.allows(&role("chief"), "docs.read"));
    assert!(model.may_invite(&role("editor"), &role("reader")));
    assert!(!model.may_invite(&role("editor"), &role("chief")));
    assert_eq!(
        model.get(&role("editor")).unwrap().display_name(),
        "Editor in charge"
    );
}

#[test]
fn the_phrase_shown_replaces_the_built_in_one_without_alert() {
    let readme = read("README.md");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("locales")).unwrap();
    let locale = block(section(&readme, "## Letters"), "toml");
    std::fs::write(folder.path().join("locales/de.toml"), locale).unwrap();
    let (_, alerts) = Letters::with_overrides(folder.path()).unwrap();
    assert_eq!(alerts, []);
}

#[test]
fn the_limits_shown_are_the_default() {
    let readme = read("README.md");
    let shown = spans(section(&readme, "## Limits"));
    let limits: Vec<Limits> = shown.iter().filter_map(|span| span.parse().ok()).collect();
    assert_eq!(limits, [Limits::default()]);
}

#[test]
fn the_session_stores_shown_are_understood() {
    let readme = read("README.md");
    let rows = rows(section(&readme, "## Sessions"));
    assert!(rows.len() > 3, "{rows:?}");
    for row in rows {
        let store = spans(row[0]).remove(0);
        let environment = |name: &str| match name {
            "GUESTLIST_SESSIONS" => Some(store.clone().into()),
            "REDIS_URL" => Some("redis://127.0.0.1".into()),
            _ => None,
        };
        let config = Config::read(&environment).unwrap();
        assert_eq!(config.sessions.is_empty(), store == "none", "{store}");
    }
}

#[test]
fn every_state_of_delivery_is_explained() {
    let readme = read("README.md");
    let rows = rows(section(&readme, "## Operating it"));
    let explained: Vec<String> = rows.iter().flat_map(|row| spans(row[0])).collect();
    let states: Vec<&str> = Delivery::ALL.iter().map(|state| state.as_str()).collect();
    assert_eq!(explained, states);
}

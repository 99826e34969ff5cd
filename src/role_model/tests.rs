//! Tests of valid models and of each way in which a model is invalid.

use super::*;
use crate::name::Name;

fn role(name: &str) -> Role {
    name.parse().expect("a role's name")
}

fn model(text: &str) -> Result<RoleModel, InvalidRoleModel> {
    RoleModel::from_toml(text)
}

#[test]
fn the_presets_are_valid() {
    assert_eq!(RoleModel::four_tier().roles().len(), 4);
    assert_eq!(RoleModel::two_role().roles().len(), 3);
}

#[test]
fn an_admin_manages_everyone_below_owner() {
    let model = RoleModel::four_tier();
    for name in ["agent", "manager", "admin"] {
        assert!(model.may_invite(&role("admin"), &role(name)));
        assert!(model.may_remove(&role("admin"), &role(name)));
        assert!(model.may_change(&role("admin"), &role(name), &role("agent")));
    }
    assert!(!model.may_invite(&role("admin"), &role("owner")));
    assert!(!model.may_remove(&role("admin"), &role("owner")));
    assert!(!model.may_change(&role("admin"), &role("agent"), &role("owner")));
    assert!(!model.may_change(&role("admin"), &role("owner"), &role("agent")));
}

#[test]
fn permissions_of_included_roles_are_inherited() {
    let model = RoleModel::four_tier();
    assert!(model.allows(&role("owner"), "inbox.reply"));
    assert!(model.allows(&role("owner"), "billing.manage"));
    assert!(!model.allows(&role("admin"), "billing.manage"));
    assert!(!model.allows(&role("nobody"), "inbox.reply"));
}

/// Makes a model of roles a and b, lowest first, with more TOML in each of them.
fn two(of_a: &str, of_b: &str) -> Result<RoleModel, InvalidRoleModel> {
    model(&format!(
        "keeps = 'b'\n[[role]]\nname = 'a'\n{of_a}\n[[role]]\nname = 'b'\n{of_b}"
    ))
}

fn unknown(at: &str, named: &str) -> InvalidRoleModel {
    InvalidRoleModel::UnknownRole {
        at: at.to_owned(),
        role: role(named),
        known: vec![role("a"), role("b")],
    }
}

#[test]
fn a_role_that_is_not_defined_is_refused_wherever_it_is_named() {
    for list in ["invites", "changes_from", "changes_to", "removes"] {
        let refused = two(&format!("{list} = ['x']"), "");
        assert_eq!(refused, Err(unknown(&format!("{list} of role a"), "x")));
    }
    let refused = two("", "includes = 'x'");
    assert_eq!(refused, Err(unknown("includes of role b", "x")));
    let roles = ["a", "b"].map(|name| RoleDefinition::new(role(name)));
    let refused = RoleModel::new(roles.to_vec(), role("c"));
    assert_eq!(refused, Err(unknown("keeps", "c")));
    assert_eq!(
        refused.expect_err("refused").to_string(),
        "keeps names the role c, which is not defined; the roles are a, b"
    );
}

#[test]
fn a_model_without_a_role_or_a_protected_one_is_refused() {
    for text in ["", "keeps = 'a'"] {
        assert_eq!(model(text), Err(InvalidRoleModel::Empty));
    }
    assert_eq!(
        RoleModel::new(Vec::new(), role("a")),
        Err(InvalidRoleModel::Empty)
    );
    assert_eq!(
        model("[[role]]\nname = 'a'"),
        Err(InvalidRoleModel::NoProtectedRole)
    );
}

#[test]
fn a_model_has_a_bounded_number_of_roles() {
    let roles = |count: usize| {
        let names = (0..count).map(|number| format!("r{number}"));
        let one = |name: String| format!("[[role]]\nname = '{name}'\npermissions = ['p{name}']\n");
        let all: String = names.map(one).collect();
        format!("keeps = 'r{}'\n{all}", count - 1)
    };
    let most = RoleModel::MAX_ROLES;
    assert!(model(&roles(most)).is_ok());
    for count in [most + 1, 20_000] {
        assert_eq!(model(&roles(count)), Err(InvalidRoleModel::TooMany(count)));
    }
}

#[test]
fn the_protected_role_is_the_highest() {
    let text = "keeps = 'a'\n[[role]]\nname = 'a'\n[[role]]\nname = 'b'";
    let (keeps, above) = (role("a"), role("b"));
    assert_eq!(
        model(text),
        Err(InvalidRoleModel::KeepsBelow { keeps, above })
    );
}

#[test]
fn a_role_is_defined_once() {
    let text = "keeps = 'a'\n[[role]]\nname = 'a'\n[[role]]\nname = 'a'";
    assert_eq!(model(text), Err(InvalidRoleModel::Duplicate(role("a"))));
}

#[test]
fn nobody_grants_or_includes_what_ranks_above_them() {
    for list in [
        "invites = ['b']",
        "changes_from = ['a']\nchanges_to = ['b']",
    ] {
        let (by, grants) = (role("a"), role("b"));
        assert_eq!(
            two(list, ""),
            Err(InvalidRoleModel::GrantsAbove { by, grants })
        );
    }
    let refused = InvalidRoleModel::IncludesAbove {
        role: role("a"),
        includes: role("b"),
    };
    assert_eq!(two("includes = 'b'", ""), Err(refused));
}

#[test]
fn roles_that_include_each_other_are_named_in_a_circle() {
    let itself = two("includes = 'a'", "");
    assert_eq!(
        itself,
        Err(InvalidRoleModel::Cycle(vec![role("a"), role("a")]))
    );
    let text = "keeps = 'c'
         [[role]]\nname = 'a'\nincludes = 'b'
         [[role]]\nname = 'b'\nincludes = 'c'
         [[role]]\nname = 'c'\nincludes = 'b'";
    assert_eq!(
        model(text).expect_err("a circle").to_string(),
        "roles include each other in a circle: b includes c includes b"
    );
}

#[test]
fn a_change_takes_both_of_its_lists() {
    for (list, missing) in [
        ("changes_from", "changes_to"),
        ("changes_to", "changes_from"),
    ] {
        let role = role("b");
        assert_eq!(
            two("", &format!("{list} = ['a']")),
            Err(InvalidRoleModel::HalfChange { role, missing })
        );
    }
}

#[test]
fn a_permission_is_one_word_that_can_be_seen() {
    let permitting = |permission: &str| {
        let only = RoleDefinition::new(role("a")).permitting([permission]);
        RoleModel::new(vec![only], role("a"))
    };
    for accepted in [
        "x",
        "inbox.reply",
        "a:b/c-d_e",
        "größe.ändern",
        &"x".repeat(100),
    ] {
        permitting(accepted).expect(accepted);
    }
    for refused in [
        "",
        " ",
        "a b",
        "a\tb",
        "a\n",
        "\0",
        "a\u{200b}b",
        "a\u{202e}b",
        "\u{3164}",
        "\u{a0}",
    ] {
        let named = InvalidRoleModel::InvalidPermission {
            role: role("a"),
            permission: refused.to_owned(),
        };
        assert_eq!(permitting(refused), Err(named));
    }
    let long = permitting(&"x".repeat(101)).expect_err("too long");
    assert!(long.to_string().contains("\"xxx"), "{long}");
    assert!(long.to_string().len() < 200, "{long}");
}

#[test]
fn a_title_is_held_to_the_rules_of_a_name() {
    let titled = |title: &str| {
        let only = RoleDefinition::new(role("a")).title(title);
        RoleModel::new(vec![only], role("a"))
    };
    for refused in ["", "  ", "a\r\nBcc: x", "a\u{202e}b", "bank.example"] {
        let problem = refused.parse::<Name>().expect_err(refused);
        let role = role("a");
        let named = InvalidRoleModel::InvalidTitle { role, problem };
        assert_eq!(titled(refused), Err(named));
    }
    titled(&"x".repeat(100)).expect("long enough");
    titled(&"x".repeat(101)).expect_err("too long");
    let spaced = titled(" Head of Support ").expect("a title");
    assert_eq!(
        spaced.roles()[0].display_name(),
        "Head of Support",
        "as a name is kept"
    );
}

#[test]
fn a_model_shows_its_roles_in_one_line() {
    let shown = format!("{:#?}", RoleModel::two_role());
    assert_eq!(shown, "RoleModel(user < admin < owner; keeps owner)");
}

#[test]
fn a_model_built_in_rust_equals_one_read_from_toml() {
    let read = model(
        "keeps = 'chief'
         [[role]]
         name = 'reader'
         permissions = ['docs.read']
         [[role]]
         name = 'chief'
         title = 'Chief'
         permissions = ['docs.read']
         invites = ['chief', 'reader']
         changes_from = ['reader']
         changes_to = ['chief']
         removes = ['reader']",
    );
    let built = RoleModel::new(
        vec![
            RoleDefinition::new(role("reader")).permitting(["docs.read"]),
            RoleDefinition::new(role("chief"))
                .title("Chief")
                .including(role("reader"))
                .inviting([role("reader"), role("chief")])
                .changing([role("reader")], [role("chief")])
                .removing([role("reader")]),
        ],
        role("chief"),
    )
    .expect("valid");
    assert_eq!(read.as_ref(), Ok(&built));
    assert_ne!(read, Ok(RoleModel::four_tier()));
    assert!(built.allows(&role("chief"), "docs.read"));
    assert!(built.may_change(&role("chief"), &role("reader"), &role("chief")));
    assert_eq!(
        built.get(&role("chief")).expect("defined").display_name(),
        "Chief"
    );
    assert_eq!(built.below_kept(), &role("reader"));
}

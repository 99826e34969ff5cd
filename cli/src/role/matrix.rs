//! A role model as tables with a column for each role.

use std::collections::BTreeSet;
use std::io;

use guestlist::{Role, RoleDefinition, RoleModel};
use serde_json::{Value as Json, json};

use crate::output::Output;

/// Prints the permissions of each role, and the roles it may invite to, change and remove.
pub(super) fn print(model: &RoleModel, output: Output) -> io::Result<()> {
    if output.is_json() {
        return output.lines(names(model).map(|role| object(model, role)));
    }
    output.line(format_args!("From lowest to highest: {}.", ranks(model)))?;
    output.line("")?;
    output.table(header("permission", model), permissions(model))?;
    output.line("")?;
    output.table(header("may", model), grants(model))?;
    output.line("")?;
    output.lines(notes(model))
}

fn names(model: &RoleModel) -> impl Iterator<Item = &Role> {
    model.roles().iter().map(RoleDefinition::name)
}

/// Lists the names, each with its title if it has one: `agent (Agent), chief`.
fn ranks(model: &RoleModel) -> String {
    let shown = model.roles().iter().map(|role| {
        let (name, title) = (role.name().as_str(), role.display_name());
        if name == title {
            name.to_owned()
        } else {
            format!("{name} ({title})")
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn header(first: &str, model: &RoleModel) -> Vec<String> {
    let columns = std::iter::once(first).chain(names(model).map(Role::as_str));
    columns.map(str::to_uppercase).collect()
}

fn row(model: &RoleModel, first: String, is_marked: impl Fn(&Role) -> bool) -> Vec<String> {
    let mark = |role| if is_marked(role) { "x" } else { "-" };
    let marks = names(model).map(|role| mark(role).to_owned());
    std::iter::once(first).chain(marks).collect()
}

/// Returns a row for each permission, those of the lowest role first.
fn permissions(model: &RoleModel) -> Vec<Vec<String>> {
    let mut shown = BTreeSet::new();
    let all = model.roles().iter().flat_map(RoleDefinition::permissions);
    all.filter(|permission| shown.insert(*permission))
        .map(|permission| {
            row(model, permission.to_owned(), |role| {
                model.allows(role, permission)
            })
        })
        .collect()
}

/// Returns a row for each action on each role, the lowest role first.
fn grants(model: &RoleModel) -> Vec<Vec<String>> {
    type May = fn(&RoleModel, &Role, &Role) -> bool;
    const ACTIONS: [(&str, May); 4] = [
        ("invite to", RoleModel::may_invite),
        ("change from", changes_from),
        ("change to", changes_to),
        ("remove", RoleModel::may_remove),
    ];
    let rows = ACTIONS.iter().flat_map(|(action, may)| {
        names(model).map(move |on| {
            row(model, format!("{action} {on}"), |actor| {
                may(model, actor, on)
            })
        })
    });
    let transfer = format!("transfer {}", model.keeps());
    rows.chain([row(model, transfer, |actor| actor == model.keeps())])
        .collect()
}

fn changes_from(model: &RoleModel, actor: &Role, from: &Role) -> bool {
    names(model).any(|to| model.may_change(actor, from, to))
}

fn changes_to(model: &RoleModel, actor: &Role, to: &Role) -> bool {
    names(model).any(|from| model.may_change(actor, from, to))
}

fn notes(model: &RoleModel) -> [String; 4] {
    let (kept, below) = (model.keeps(), model.below_kept());
    let becomes = if kept == below { "stays" } else { "becomes" };
    [
        "Changing a role needs both marks: for the current role and for the new one.".to_owned(),
        "A role that may invite to another also manages its invitations; one that may remove also suspends and reinstates.".to_owned(),
        format!("At least one member is always {kept}."),
        format!("A member that transfers {kept} to another member {becomes} {below}."),
    ]
}

/// Returns the JSON object of a role.
fn object(model: &RoleModel, name: &Role) -> Json {
    let those = |may: &dyn Fn(&Role) -> bool| -> Vec<&str> {
        let roles = names(model).filter(|role| may(role));
        roles.map(Role::as_str).collect()
    };
    let definition = model.get(name);
    let permissions = definition.map(|role| role.permissions().collect::<Vec<_>>());
    json!({
        "role": name,
        "title": definition.map(RoleDefinition::display_name),
        "rank": model.rank(name),
        "keeps_one": model.keeps() == name,
        "invites": those(&|role| model.may_invite(name, role)),
        "changes_from": those(&|role| changes_from(model, name, role)),
        "changes_to": those(&|role| changes_to(model, name, role)),
        "removes": those(&|role| model.may_remove(name, role)),
        "permissions": permissions,
    })
}

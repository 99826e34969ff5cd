//! The role model.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use guestlist::{Role, RoleModel};
use serde_json::{Value as Json, json};

use super::Done;
use super::failure::{Reason, Status};
use super::output::{Output, Row};

/// Show the roles of GUESTLIST_ROLES and what each may do, lowest rank first.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  guestlist roles\n  guestlist roles check roles.toml"
)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

/// What else can be done about roles.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Check a role model in a TOML file and show it.
    Check {
        /// The file.
        file: PathBuf,
    },
}

impl Action {
    pub(crate) fn run(self, output: Output) -> Done {
        let Self::Check { file } = self;
        let name = file.display();
        let text = std::fs::read_to_string(&file)
            .map_err(|problem| Reason::invalid("role_model", format!("cannot read {name}: {problem}")))?;
        let model = RoleModel::from_toml(&text)
            .map_err(|problem| Reason::invalid("role_model", format!("{name}: {problem}")))?;
        show(&model, output)
    }
}

/// Prints the model's matrix.
pub(crate) fn show(model: &RoleModel, output: Output) -> Done {
    let names: Vec<_> = model.roles().iter().map(|role| role.name()).collect();
    let rows: Vec<_> = names.iter().map(|name| Listed { model, role: name, all: &names }).collect();
    output.rows(&rows)?;
    if !output.is_json() {
        output.line("")?;
        output.lines(rows.iter().map(|row| format!("{} may: {}", row.role, row.permissions().join(", "))))?;
        output.line("")?;
        output.line(format!("At least one member always is {}.", model.keeps()))?;
    }
    Ok(Status::Done)
}

struct Listed<'a> {
    model: &'a RoleModel,
    role: &'a Role,
    all: &'a [&'a Role],
}

impl<'a> Listed<'a> {
    fn those(&self, may: impl Fn(&Role) -> bool) -> Vec<&'a str> {
        self.all.iter().filter(|role| may(role)).map(|role| role.as_str()).collect()
    }

    fn invites(&self) -> Vec<&'a str> {
        self.those(|role| self.model.may_invite(self.role, role))
    }

    fn changes_from(&self) -> Vec<&'a str> {
        self.those(|from| self.all.iter().any(|to| self.model.may_change(self.role, from, to)))
    }

    fn changes_to(&self) -> Vec<&'a str> {
        self.those(|to| self.all.iter().any(|from| self.model.may_change(self.role, from, to)))
    }

    fn removes(&self) -> Vec<&'a str> {
        self.those(|role| self.model.may_remove(self.role, role))
    }

    fn permissions(&self) -> Vec<&'a str> {
        self.model.get(self.role).map(|role| role.permissions().collect()).unwrap_or_default()
    }
}

impl Row for Listed<'_> {
    const HEADER: &'static [&'static str] = &["role", "invites", "changes from", "changes to", "removes"];

    fn json(&self) -> Json {
        json!({
            "role": self.role,
            "title": self.model.get(self.role).map(|role| role.display_name()),
            "rank": self.model.rank(self.role),
            "keeps_one": self.model.keeps() == self.role,
            "invites": self.invites(),
            "changes_from": self.changes_from(),
            "changes_to": self.changes_to(),
            "removes": self.removes(),
            "permissions": self.permissions(),
        })
    }

    fn cells(&self) -> Vec<String> {
        let listed = |roles: Vec<&str>| if roles.is_empty() { "-".to_owned() } else { roles.join(" ") };
        vec![
            self.role.to_string(),
            listed(self.invites()),
            listed(self.changes_from()),
            listed(self.changes_to()),
            listed(self.removes()),
        ]
    }
}

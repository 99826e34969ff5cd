//! The role model.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use guestlist::{Role, RoleModel};
use guestlist_jobs::config::Config;
use serde_json::{Value as Json, json};

use super::Done;
use super::failure::{Failure, Reason, Status};
use super::output::{Output, Row};

/// Show the roles of GUESTLIST_ROLES and what each may do, lowest rank first.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  guestlist roles\n  guestlist roles check roles.toml"
)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a role model in a TOML file and show it.
    Check {
        /// The file.
        file: PathBuf,
    },
}

impl Command {
    pub(crate) fn run(self, output: Output) -> Done {
        match self.action {
            Some(Action::Check { file }) => show(&read(&file)?, output),
            None => show(&Config::from_env()?.role_model, output),
        }
    }
}

fn read(file: &Path) -> Result<RoleModel, Failure> {
    let invalid = |problem: &dyn Display| {
        Reason::invalid("role_model", format!("{}: {problem}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|problem| invalid(&problem))?;
    Ok(RoleModel::from_toml(&text).map_err(|problem| invalid(&problem))?)
}

/// Prints the model's matrix.
fn show(model: &RoleModel, output: Output) -> Done {
    let names: Vec<_> = model.roles().iter().map(|role| role.name()).collect();
    let rows: Vec<_> = names
        .iter()
        .map(|name| Listed {
            model,
            role: name,
            all: &names,
        })
        .collect();
    output.rows(&rows)?;
    if !output.is_json() {
        output.line("")?;
        output.lines(
            rows.iter()
                .map(|row| format!("{} may: {}", row.role, row.permissions().join(", "))),
        )?;
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
        self.all
            .iter()
            .filter(|role| may(role))
            .map(|role| role.as_str())
            .collect()
    }

    fn invites(&self) -> Vec<&'a str> {
        self.those(|role| self.model.may_invite(self.role, role))
    }

    fn changes_from(&self) -> Vec<&'a str> {
        self.those(|from| {
            self.all
                .iter()
                .any(|to| self.model.may_change(self.role, from, to))
        })
    }

    fn changes_to(&self) -> Vec<&'a str> {
        self.those(|to| {
            self.all
                .iter()
                .any(|from| self.model.may_change(self.role, from, to))
        })
    }

    fn removes(&self) -> Vec<&'a str> {
        self.those(|role| self.model.may_remove(self.role, role))
    }

    fn permissions(&self) -> Vec<&'a str> {
        self.model
            .get(self.role)
            .map(|role| role.permissions().collect())
            .unwrap_or_default()
    }
}

impl Row for Listed<'_> {
    const HEADER: &'static [&'static str] =
        &["role", "invites", "changes from", "changes to", "removes"];

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
        let listed = |roles: Vec<&str>| {
            if roles.is_empty() {
                "-".to_owned()
            } else {
                roles.join(" ")
            }
        };
        vec![
            self.role.to_string(),
            listed(self.invites()),
            listed(self.changes_from()),
            listed(self.changes_to()),
            listed(self.removes()),
        ]
    }
}

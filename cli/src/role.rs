//! The commands on the role model.

mod matrix;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use guestlist::{InvalidRoleModel, RoleModel};
use guestlist_jobs::config::{Config, UnreadRoleModel, read_role_model};

use super::failure::{Done, Reason, Status};
use super::output::{Output, printable};

/// Show the roles of GUESTLIST_ROLES: their permissions, and the roles each may invite to, change
/// and remove.
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
            Some(Action::Check { file }) => check(&file, output),
            None => show(&Config::from_env()?.role_model, output),
        }
    }
}

fn show(model: &RoleModel, output: Output) -> Done {
    matrix::print(model, output)?;
    Ok(Status::Done)
}

fn check(file: &Path, output: Output) -> Done {
    let name = printable(&file.to_string_lossy());
    let model = read_role_model(file).map_err(|problem| refusal(&name, &problem))?;
    show(&model, output)?;
    if !output.is_json() {
        output.note(format_args!(
            "{name} is a role model; set GUESTLIST_ROLES={name} to use it."
        ));
    }
    Ok(Status::Done)
}

/// Describes a mistake in a role model's file, and the remedy.
fn refusal(file: &str, problem: &UnreadRoleModel) -> Reason {
    let advice = match problem {
        UnreadRoleModel::File(_) => "give the path of a TOML file with a role model",
        _ => "correct the file and check it again",
    };
    let message = format!("{file}: {problem}\n  Nothing was changed; {advice}.");
    let reason = Reason::invalid("role_model", message).with("file", file);
    match problem {
        UnreadRoleModel::Invalid(InvalidRoleModel::Malformed { line, column, .. }) => {
            reason.with("line", *line).with("column", *column)
        }
        UnreadRoleModel::NotText { line } => reason.with("line", *line),
        _ => reason,
    }
}

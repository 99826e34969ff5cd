//! The environment variables.

use clap::Args;
use guestlist_jobs::config::variables;
use serde_json::json;

use super::failure::{Done, Status};
use super::output::Output;

/// Print the table of environment variables.
#[derive(Debug, Args)]
pub(crate) struct Command {}

impl Command {
    pub(crate) fn run(self, output: Output) -> Done {
        if !output.is_json() {
            output.line(variables::help().trim_end())?;
            return Ok(Status::Done);
        }
        for variable in variables::ALL {
            output.object(&json!({
                "variable": variable.name,
                "default": Some(variable.default).filter(|default| !default.is_empty()),
                "expected": variable.expected,
                "meaning": variable.meaning,
            }))?;
        }
        Ok(Status::Done)
    }
}

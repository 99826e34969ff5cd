//! Placeholder of the doctor's own part.

use std::process::ExitCode;

use crate::config::Config;

/// One line for each thing that can be wrong.
///
/// # Errors
/// Always, here.
pub async fn run(_config: &Config, _json: bool) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the doctor is not part of this build")
}

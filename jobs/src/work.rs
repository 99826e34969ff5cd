//! Placeholder of the worker's own part.

use std::process::ExitCode;

use crate::config::Config;

/// Relay and all jobs.
///
/// # Errors
/// Always, here.
pub async fn run(_config: &Config, _until_idle: bool) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the worker is not part of this build")
}

//! Placeholder of the demonstration's own part.

use std::path::Path;
use std::process::ExitCode;

/// The whole story in a temporary folder.
///
/// # Errors
/// Always, here.
pub async fn run(_file: Option<&Path>) -> anyhow::Result<ExitCode> {
    anyhow::bail!("the demonstration is not part of this build")
}

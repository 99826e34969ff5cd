//! Programs that are measured beside ours.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::postgres;

/// The file of an installed program, also of those that only root has on the `PATH`.
pub(crate) fn find(program: &str) -> anyhow::Result<PathBuf> {
    if let Ok(file) = postgres::binary(program) {
        return Ok(file);
    }
    let file = Path::new("/usr/sbin").join(program);
    if file.is_file() {
        return Ok(file);
    }
    bail!(
        "{program} is not installed; bin/setup installs what the bench needs, on Debian and Ubuntu"
    )
}

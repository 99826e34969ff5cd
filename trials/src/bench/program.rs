//! Installed programs that a benchmark uses.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::postgres;

/// Finds the file of an installed program, also in /usr/sbin, which is often only on the `PATH` of root.
pub(crate) fn find(program: &str) -> anyhow::Result<PathBuf> {
    if let Ok(file) = postgres::binary(program) {
        return Ok(file);
    }
    let file = Path::new("/usr/sbin").join(program);
    if file.is_file() {
        return Ok(file);
    }
    bail!(
        "{program} is not installed; on Debian and Ubuntu, bin/setup installs the programs that the benchmark needs"
    )
}

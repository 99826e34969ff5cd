//! Where a trial leaves databases, logs and journals.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// A folder that was asked for and stays, or a temporary one that goes.
pub(crate) enum Evidence {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Evidence {
    /// Makes the folder. The servers' user may pass through it: Postgres runs as nobody where this
    /// runs as root.
    pub(crate) fn at(folder: Option<&Path>) -> anyhow::Result<Self> {
        let evidence = match folder {
            Some(folder) => {
                std::fs::create_dir(folder).with_context(|| {
                    let folder = folder.display();
                    format!(
                        "nothing was tried: {folder} cannot be made, and has to be a new folder"
                    )
                })?;
                Self::Kept(folder.canonicalize()?)
            }
            None => {
                let mut builder = tempfile::Builder::new();
                Self::Temporary(builder.prefix("guestlist-trials-").tempdir()?)
            }
        };
        let passable = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(evidence.folder(), passable)?;
        Ok(evidence)
    }

    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

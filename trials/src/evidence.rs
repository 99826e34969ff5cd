//! The folder of a trial's databases, logs and journals.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// A folder that the user named and that is kept, or a temporary one.
pub(crate) enum Evidence {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Evidence {
    /// Creates the folder. Other users may enter it, because Postgres runs as `nobody` if this program
    /// runs as root.
    pub(crate) fn create(folder: Option<&Path>) -> anyhow::Result<Self> {
        let evidence = match folder {
            Some(folder) => {
                std::fs::create_dir(folder).with_context(|| {
                    let folder = folder.display();
                    format!(
                        "nothing was tried: cannot create {folder}, which has to be a new folder"
                    )
                })?;
                Self::Kept(folder.canonicalize()?)
            }
            None => {
                let mut builder = tempfile::Builder::new();
                Self::Temporary(builder.prefix("guestlist-trials-").tempdir()?)
            }
        };
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(evidence.folder(), permissions)?;
        Ok(evidence)
    }

    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

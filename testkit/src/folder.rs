//! The folder of a server.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Error;

/// A folder that the caller named and that stays, or a temporary one that is deleted when dropped.
#[derive(Debug)]
pub(crate) enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    /// Creates the folder; one that exists is used as it is.
    pub(crate) fn create(path: Option<PathBuf>) -> Result<Self, Error> {
        let created = match path {
            Some(path) => fs::create_dir_all(&path).map(|()| Self::Kept(path)),
            None => tempfile::Builder::new()
                .prefix("guestlist-testkit-")
                .tempdir()
                .map(Self::Temporary),
        };
        created.map_err(Error::io("the folder of a server cannot be created"))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

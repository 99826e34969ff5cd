//! Role models in files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use guestlist::{InvalidRoleModel, RoleModel};

/// The maximum size of the file, in bytes: the largest number of roles with twenty permissions each
/// is smaller.
const MAX_SIZE: usize = 1024 * 1024;

/// The reason why a file is not a role model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadRoleModel {
    /// There is no such file, or it cannot be read.
    #[error("cannot be read: {0}")]
    File(io::Error),
    /// The file is larger than 1 MiB; no more of it was read.
    #[error("larger than 1 MiB, so it is not a role model")]
    TooLarge,
    /// The file is not text in UTF-8.
    #[error("line {line}: not text in UTF-8")]
    NotText {
        /// The line of the first invalid byte, counted from 1.
        line: usize,
    },
    /// The text is not a role model.
    #[error(transparent)]
    Invalid(#[from] InvalidRoleModel),
}

/// Reads a role model from a TOML file of at most 1 MiB.
///
/// # Errors
/// [`UnreadRoleModel`], which does not name the file.
pub fn read_role_model(file: &Path) -> Result<RoleModel, UnreadRoleModel> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_SIZE + 1).expect("a MiB fits");
    let mut read = || {
        // A pipe would be waited for without end.
        if !fs::metadata(file)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        File::open(file)?.take(most).read_to_end(&mut bytes)
    };
    read().map_err(UnreadRoleModel::File)?;
    if bytes.len() > MAX_SIZE {
        return Err(UnreadRoleModel::TooLarge);
    }
    let text = str::from_utf8(&bytes).map_err(|wrong| {
        let before = &bytes[..wrong.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        UnreadRoleModel::NotText { line }
    })?;
    Ok(RoleModel::from_toml(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("roles.toml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo runs").success());
        let refused = read_role_model(&pipe).expect_err("no file");
        assert_eq!(refused.to_string(), "cannot be read: it is no regular file");
    }
}

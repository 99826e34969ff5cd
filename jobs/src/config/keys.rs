//! The keys that sign links: configured, or created and kept beside an SQLite database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use guestlist::{InvalidKeyRing, Key, KeyRing};

/// The source of the key ring.
#[derive(Debug, Clone)]
pub enum Keys {
    /// `GUESTLIST_KEYS`.
    Given(KeyRing),
    /// A file beside an SQLite database, created when it is first needed.
    Beside(PathBuf),
    /// None: links can be neither created nor accepted.
    Absent,
}

/// The reason why there is no key ring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// None was configured.
    #[error(
        "no key is configured, so links can be neither created nor accepted: set GUESTLIST_KEYS to what `guestlist keys new` prints"
    )]
    Absent,
    /// Other users of this machine may read the file.
    #[error(
        "the key file {path} can be read by other users: run `chmod 600 {path}`, and create a new key if they might have read it"
    )]
    Exposed {
        /// The file.
        path: String,
    },
    /// The content of the file is not a key ring.
    #[error("the key file {path} is not valid: {problem}")]
    Invalid {
        /// The file.
        path: String,
        /// The problem with the content.
        problem: InvalidKeyRing,
    },
    /// The file can be neither read nor created.
    #[error("the key file {path} can be neither read nor created: {problem}")]
    File {
        /// The file.
        path: String,
        /// The error of the operating system.
        problem: io::Error,
    },
}

impl Keys {
    /// Loads the key ring; creates the key file if there is none yet, with a warning in the log.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn load(&self) -> Result<KeyRing, KeysError> {
        match self {
            Self::Given(ring) => Ok(ring.clone()),
            Self::Beside(path) => load_or_make(path),
            Self::Absent => Err(KeysError::Absent),
        }
    }
}

fn load_or_make(path: &Path) -> Result<KeyRing, KeysError> {
    let file_error = |problem| KeysError::File {
        path: path.display().to_string(),
        problem,
    };
    if let Some(ring) = load(path)? {
        return Ok(ring);
    }
    if make(path).map_err(file_error)? {
        tracing::warn!(
            file = %path.display(),
            "created the key that signs links in {}; keep this file with the database, because without it open links stop working",
            path.display()
        );
    }
    load(path)?.ok_or_else(|| file_error(io::ErrorKind::NotFound.into()))
}

fn load(path: &Path) -> Result<Option<KeyRing>, KeysError> {
    let text = match read(path) {
        Ok(Some(text)) => text,
        Ok(None) => {
            return Err(KeysError::Exposed {
                path: path.display().to_string(),
            });
        }
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(problem) => {
            return Err(KeysError::File {
                path: path.display().to_string(),
                problem,
            });
        }
    };
    let invalid = |problem| KeysError::Invalid {
        path: path.display().to_string(),
        problem,
    };
    text.parse().map(Some).map_err(invalid)
}

/// Reads the file, unless other users may read it too.
fn read(path: &Path) -> io::Result<Option<String>> {
    const OTHERS: u32 = 0o077;
    let mut file = File::open(path)?;
    if file.metadata()?.mode() & OTHERS != 0 {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Creates the file completely or not at all, and returns whether this process created it: a
/// finished draft is linked to its name, which fails if another process was first.
fn make(path: &Path) -> io::Result<bool> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{:016x}", rand::random::<u64>()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let written = writeln!(file, "{}", Key::generate().expose()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key_id(keys: &Keys) -> String {
        keys.load().unwrap().signing().unwrap().id().to_owned()
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guestlist.db.keys");
        let keys = Keys::Beside(path.clone());
        let first = key_id(&keys);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(key_id(&keys), first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn who_comes_second_takes_the_key_of_who_came_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        assert!(make(&path).unwrap());
        let first = key_id(&Keys::Beside(path.clone()));
        assert!(!make(&path).unwrap());
        assert_eq!(key_id(&Keys::Beside(path)), first);
    }

    #[test]
    fn a_file_that_others_may_read_or_that_holds_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "nonsense").unwrap();
        let keys = Keys::Beside(path.clone());
        for mode in [0o644, 0o640, 0o604] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(keys.load(), Err(KeysError::Exposed { .. })),
                "{mode:o}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(keys.load(), Err(KeysError::Invalid { .. })));
    }
}

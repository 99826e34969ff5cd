//! Letters written as files, for trials and hosts without a mail server.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::mail::Mail;

/// The longest file name of a letter, in characters, without `.eml`.
const NAME: usize = 120;

/// A folder that letters are written to, one file each.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// Writes the letter. Writing the same letter again replaces its file.
    ///
    /// # Errors
    /// A description of the failure.
    pub(super) async fn send(&self, mail: Mail) -> Result<String, String> {
        let folder = self.0.clone();
        let written = tokio::task::spawn_blocking(move || write(&folder, &mail)).await;
        match written.map_err(io::Error::other).flatten() {
            Ok(path) => Ok(format!("written to {}", path.display())),
            Err(error) => Err(format!("cannot write to {}: {error}", self.0.display())),
        }
    }

    /// Checks that a file can be written; leaves nothing behind but the folder.
    pub(super) async fn check(&self) -> io::Result<()> {
        let folder = self.0.clone();
        let checked = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            let path = unfinished(&folder);
            stored(&path, b"guestlist").and(fs::remove_file(&path))
        });
        checked.await.map_err(io::Error::other).flatten()
    }
}

/// Writes a temporary file and renames it, so that a reader sees the whole letter or none. Syncs
/// it, because "accepted" promises that the letter survives a crash.
fn write(folder: &Path, mail: &Mail) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.eml", name(&mail.message_id)));
    let beside = unfinished(folder);
    let written = stored(&beside, &mail.bytes).and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = written {
        // Ignored: the first error is the one that matters.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    Ok(path)
}

fn stored(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn unfinished(folder: &Path) -> PathBuf {
    folder.join(format!(".{}.unfinished", Uuid::now_v7()))
}

/// Returns the Message-ID before its @, with every character that is special to a file system
/// replaced.
fn name(message_id: &str) -> String {
    let local = message_id.split('@').next().unwrap_or_default();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = local.chars().map(plain).take(NAME).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() {
        "letter".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_cannot_leave_the_folder() {
        for (message_id, expected) in [
            ("0198-abc.1@guestlist.example", "0198-abc.1"),
            ("../../etc/passwd@x", "_.._etc_passwd"),
            ("a/b\\c\0d@x", "a_b_c_d"),
            ("..@x", "letter"),
            ("", "letter"),
        ] {
            assert_eq!(name(message_id), expected);
        }
        assert_eq!(name(&"x".repeat(1_000)).len(), NAME);
    }
}

//! What a host saw committed, on the disk before it goes on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use guestlist::InvitationId;
use serde::{Deserialize, Serialize};

/// Something whose commit was confirmed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    Invited(Vec<InvitationId>),
    Resent(InvitationId),
    Revoked(InvitationId),
    Accepted(InvitationId),
}

/// A host's own journal.
pub(super) struct Journal(File);

impl Journal {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(file.with_context(|| format!("{}", path.display()))?))
    }

    /// Notes a deed; a host that cannot must not go on.
    pub(super) fn note(&mut self, deed: Deed) {
        let mut line = serde_json::to_vec(&deed).expect("a deed is plain data");
        line.push(b'\n');
        let noted = self.0.write_all(&line).and_then(|()| self.0.sync_data());
        noted.expect("the journal can be written");
    }
}

/// The deeds in a journal. A line that a kill cut short was never confirmed by it.
pub(crate) fn committed(path: &Path) -> anyhow::Result<Vec<Deed>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

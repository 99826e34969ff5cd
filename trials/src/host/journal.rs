//! The journal of a host: each operation that it saw committed, synced to the disk.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use guestlist::InvitationId;
use serde::{Deserialize, Serialize};

/// An operation whose commit was confirmed to the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Invited(Vec<InvitationId>),
    Resent(InvitationId),
    Revoked(InvitationId),
    Accepted(InvitationId),
}

/// The journal of one host.
pub(super) struct Journal(File);

impl Journal {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(file.with_context(|| format!("{}", path.display()))?))
    }

    /// Appends an operation. Panics if that fails: without a journal the trial cannot be judged.
    pub(super) fn append(&mut self, operation: Operation) {
        let mut line = serde_json::to_vec(&operation).expect("an operation is plain data");
        line.push(b'\n');
        let written = self.0.write_all(&line).and_then(|()| self.0.sync_data());
        written.expect("the journal can be written");
    }
}

/// Returns the operations in a journal. Skips a line that is incomplete because the host was killed.
pub(crate) fn committed(path: &Path) -> anyhow::Result<Vec<Operation>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

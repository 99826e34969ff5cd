//! The trials' own mail server, for when it matters at what time a letter came.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use tempfile::TempDir;

use crate::sink::{self, Accepted, Entry, Sink};

/// A mail server that remembers when it accepted what. It speaks TLS and wants a password.
pub(crate) struct ClockedSink {
    sink: Sink,
    /// In memory where there is such a folder: its syncs are not ours, and another machine's disk in
    /// real life.
    _folder: TempDir,
}

impl ClockedSink {
    /// Starts it, with its log below `otherwise` where there is no folder in memory.
    pub(crate) async fn start(otherwise: &Path) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("guestlist-bench-");
        let folder = builder
            .tempdir_in("/dev/shm")
            .or_else(|_| builder.tempdir_in(otherwise))?;
        Ok(Self {
            sink: Sink::start(folder.path(), 0).await?,
            _folder: folder,
        })
    }

    pub(crate) fn url(&self) -> String {
        self.sink.url("worker")
    }

    /// Whether no letter came yet.
    pub(crate) fn is_empty(&self) -> anyhow::Result<bool> {
        Ok(std::fs::metadata(self.sink.log())?.len() == 0)
    }

    /// When the final dot of each recipient's letter came.
    pub(crate) fn accepted(&self) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
        let taken = |entry| match entry {
            Entry::Accepted(Accepted { to, at, .. }) => Some((to, at)),
            Entry::Refused { .. } => None,
        };
        let entries = sink::read(self.sink.log())?;
        Ok(entries.into_iter().filter_map(taken).collect())
    }
}

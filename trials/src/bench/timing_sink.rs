//! A mail server that records the time of each letter.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use guestlist_testkit::SmtpServer;
use tempfile::TempDir;

use crate::sink::{self, Accepted, Entry, Sink};

/// The mail server of the trials, which needs TLS and a password. Its log contains the time of each letter.
pub(crate) struct TimingSink {
    sink: Sink,
    /// In memory if possible, so that the syncs of its log do not slow down the disk that is measured.
    _folder: TempDir,
}

impl TimingSink {
    /// Starts the server. Its log is in `fallback` if there is no /dev/shm.
    pub(crate) async fn start(fallback: &Path) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("guestlist-bench-");
        let folder = builder
            .tempdir_in("/dev/shm")
            .or_else(|_| builder.tempdir_in(fallback))?;
        Ok(Self {
            sink: Sink::start(folder.path(), 0).await?,
            _folder: folder,
        })
    }

    pub(crate) fn url(&self) -> String {
        self.sink.url("worker")
    }

    /// The mail server, to change its rules.
    pub(crate) fn server(&self) -> &SmtpServer {
        self.sink.server()
    }

    /// Returns true if no letter has arrived yet.
    pub(crate) fn is_empty(&self) -> anyhow::Result<bool> {
        Ok(std::fs::metadata(self.sink.log())?.len() == 0)
    }

    /// Returns the time of the final dot for the letter of each recipient.
    pub(crate) fn accepted(&self) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
        let recipient_and_time = |entry| match entry {
            Entry::Accepted(Accepted { to, at, .. }) => Some((to, at)),
            Entry::Refused { .. } => None,
        };
        let entries = sink::read(self.sink.log())?;
        Ok(entries.into_iter().filter_map(recipient_and_time).collect())
    }
}

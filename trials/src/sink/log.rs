//! The log of accepted and refused letters. A line is synced to disk before the client gets its reply.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// A line of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A letter was accepted. The line is on disk before the client gets the reply.
    Accepted(Accepted),
    /// A recipient or a letter was refused.
    Refused {
        to: String,
        by: String,
        reply: String,
        at: DateTime<Utc>,
    },
}

/// An accepted letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) to: String,
    /// Without its angle brackets.
    pub(crate) message_id: String,
    /// Hash of the bytes between `DATA` and the final dot, without dot-stuffing.
    pub(crate) sha256: String,
    pub(crate) bytes: usize,
    /// User name with which the client signed in.
    pub(crate) by: String,
    /// Time at which `MAIL` arrived.
    pub(crate) began_at: DateTime<Utc>,
    /// Time at which the final dot arrived.
    pub(crate) at: DateTime<Utc>,
    pub(crate) fate: Fate,
}

/// The reply to the client of an accepted letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// A 250 at once.
    Answered,
    /// A 250, slowly or late.
    AnsweredLate,
    /// No reply, because a rule withheld it.
    Withheld,
}

/// Appends to the log for many sessions. Lines that wait at the same time share one sync.
#[derive(Clone)]
pub(super) struct Log(mpsc::Sender<Line>);

struct Line {
    entry: Entry,
    written: oneshot::Sender<()>,
}

/// Maximum number of lines that share one sync.
const BATCH: usize = 256;

impl Log {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new()
            .name("sink-log".to_owned())
            .spawn(move || write(file, &receiver))?;
        Ok(Self(sender))
    }

    /// Appends a line and returns when it is on disk. After an error it may be missing from the log.
    pub(super) async fn append(&self, entry: Entry) -> std::io::Result<()> {
        let (written, done) = oneshot::channel();
        let failed = || std::io::Error::other("the log cannot be written");
        self.0.send(Line { entry, written }).map_err(|_| failed())?;
        done.await.map_err(|_| failed())
    }
}

fn write(mut file: File, lines: &mpsc::Receiver<Line>) {
    while let Ok(first) = lines.recv() {
        let mut batch = vec![first];
        batch.extend(lines.try_iter().take(BATCH - 1));
        let mut text = Vec::new();
        for line in &batch {
            serde_json::to_writer(&mut text, &line.entry).expect("an entry is plain data");
            text.push(b'\n');
        }
        // Returning drops the channels, so every waiting or later call of `append` fails.
        if let Err(error) = file.write_all(&text).and_then(|()| file.sync_data()) {
            eprintln!(
                "cannot write the log of the mail server, it accepts no more letters: {error}"
            );
            return;
        }
        for line in batch {
            // The receiver is gone if the session was ended meanwhile.
            let _ = line.written.send(());
        }
    }
}

/// Reads the lines of a log.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))
        })
        .collect()
}

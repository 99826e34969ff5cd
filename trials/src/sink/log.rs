//! What the server accepted and refused, on the disk before anybody is told.

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
    /// A letter was taken; the line was on the disk before the client could know.
    Accepted(Accepted),
    /// A recipient or a letter was refused.
    Refused {
        to: String,
        by: String,
        reply: String,
        at: DateTime<Utc>,
    },
}

/// A letter that was taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) to: String,
    /// Without its angle brackets.
    pub(crate) message_id: String,
    /// Of the bytes between `DATA` and the final dot, as they were before dot-stuffing.
    pub(crate) sha256: String,
    pub(crate) bytes: usize,
    /// As whom the client had signed in.
    pub(crate) by: String,
    /// When `MAIL` came.
    pub(crate) began_at: DateTime<Utc>,
    /// When the final dot came.
    pub(crate) at: DateTime<Utc>,
    pub(crate) fate: Fate,
}

/// What the client of an accepted letter was to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// That it was accepted.
    Answered,
    /// The same, but slowly or late.
    AnsweredLate,
    /// Nothing, by script.
    Withheld,
}

/// Appends to the log from many sessions, with one sync for all that wait at a time.
#[derive(Clone)]
pub(super) struct Log(mpsc::Sender<Line>);

struct Line {
    entry: Entry,
    written: oneshot::Sender<()>,
}

/// The most lines that one sync is shared by.
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

    /// Returns once the line is on the disk; an error means that it may not be.
    pub(super) async fn append(&self, entry: Entry) -> std::io::Result<()> {
        let (written, done) = oneshot::channel();
        let gone = || std::io::Error::other("the log cannot be written");
        self.0.send(Line { entry, written }).map_err(|_| gone())?;
        done.await.map_err(|_| gone())
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
        // Whoever waits is told by the channel's end; nothing more is accepted.
        if let Err(error) = file.write_all(&text).and_then(|()| file.sync_data()) {
            eprintln!("the log of the mail server cannot be written: {error}");
            return;
        }
        for line in batch {
            // A session that was cut off meanwhile does not wait any more.
            let _ = line.written.send(());
        }
    }
}

/// The lines of a log.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))
        })
        .collect()
}

//! The log of accepted and refused letters. A line is synced to disk before the client gets its reply.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use guestlist_testkit::smtp::{Action, Decision, ReceivedLetter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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

impl Entry {
    /// Describes a decision of the server.
    pub(super) fn new(decision: Decision<'_>) -> Self {
        match decision {
            Decision::Accepted(letter) => Self::Accepted(Accepted::new(letter)),
            Decision::Refused {
                to, user, reply, ..
            } => Self::Refused {
                to: to.to_owned(),
                by: user.unwrap_or_default().to_owned(),
                reply: reply.to_owned(),
                at: Utc::now(),
            },
            _ => unreachable!("a letter is accepted or refused: {decision:?}"),
        }
    }
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

impl Accepted {
    fn new(letter: &ReceivedLetter) -> Self {
        let digest = Sha256::digest(&letter.bytes);
        Self {
            to: letter.to.clone(),
            message_id: message_id(&letter.text()).unwrap_or_default(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: letter.bytes.len(),
            by: letter.user.clone().unwrap_or_default(),
            began_at: letter.began_at.into(),
            at: letter.arrived_at.into(),
            fate: Fate::of(letter.action.as_ref()),
        }
    }
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

impl Fate {
    fn of(action: Option<&Action>) -> Self {
        match action {
            None => Self::Answered,
            Some(Action::ReplySlowly(_) | Action::ReplyLate(_)) => Self::AnsweredLate,
            Some(_) => Self::Withheld,
        }
    }
}

/// Returns the value of the Message-ID header, which must be on one line.
fn message_id(letter: &str) -> Option<String> {
    let head = letter.split("\r\n\r\n").next()?;
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("message-id")
            .then(|| value.trim())
    })?;
    Some(
        value
            .trim_start_matches('<')
            .trim_end_matches('>')
            .to_owned(),
    )
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

//! The record of what a server has seen.

use std::borrow::Cow;
use std::time::SystemTime;

use super::action::Action;

/// Everything a server has seen.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Seen {
    /// The number of connections opened.
    pub connections: usize,
    /// The number of connections that have ended.
    pub closed: usize,
    /// Every command line, without the lines of letters and of an answer to AUTH.
    pub commands: Vec<String>,
    /// Every letter that came with its final dot, refused or not.
    pub letters: Vec<ReceivedLetter>,
}

impl Seen {
    /// The number of commands that start with these characters, such as `RCPT`.
    pub fn heard(&self, start: &str) -> usize {
        let commands = self.commands.iter();
        commands
            .filter(|command| command.starts_with(start))
            .count()
    }

    /// Headers and body of every letter.
    pub fn texts(&self) -> Vec<String> {
        let letters = self.letters.iter();
        letters.map(|letter| letter.text().into_owned()).collect()
    }
}

/// A letter as it was sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceivedLetter {
    /// The address in `RCPT`; the last one if there were several.
    pub to: String,
    /// The user name with which the client signed in.
    pub user: Option<String>,
    /// Headers and body, with the dots as they were before dot-stuffing.
    pub bytes: Vec<u8>,
    /// The time at which `MAIL` arrived.
    pub began_at: SystemTime,
    /// The time at which the final dot arrived.
    pub arrived_at: SystemTime,
    /// The action in the place of the correct reply to the final dot.
    pub action: Option<Action>,
}

impl ReceivedLetter {
    /// Headers and body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// True unless the server refused or lost it after its final dot.
    pub fn is_accepted(&self) -> bool {
        self.action
            .as_ref()
            .is_none_or(|action| action.grants("250"))
    }
}

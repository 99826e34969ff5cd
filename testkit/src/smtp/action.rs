//! The ways in which a mail server misbehaves.

use std::time::Duration;

/// An action in the place of the correct reply. A text becomes [`Action::Reply`].
///
/// An action that withholds the reply to the final dot, or delays it, leaves the letter accepted;
/// [`Action::Lose`] and a refusing reply do not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Sends this reply; its lines are separated by CRLF. If its first digit is that of the correct reply,
    /// the session goes on as after that.
    Reply(String),
    /// Sends this reply, then closes the connection.
    ReplyAndHangUp(String),
    /// Closes the connection.
    HangUp,
    /// Closes the connection. After the final dot, the letter is not accepted.
    Lose,
    /// Sends nothing more, and reads until the client closes the connection.
    Stall,
    /// Neither reads nor sends for this time, then closes the connection.
    StallFor(Duration),
    /// Sends the correct reply when [`SmtpServer::release`](super::SmtpServer::release) is called. Commands
    /// that arrive before are seen, and answered later.
    Hold,
    /// Sends reply lines without end.
    Flood,
    /// Sends the correct reply byte by byte, with this pause after each.
    ReplySlowly(Duration),
    /// Sends the correct reply after this time.
    ReplyLate(Duration),
    /// Sends the correct reply to STARTTLS, and an alert in the place of the TLS handshake.
    BreakHandshake,
}

impl Action {
    /// Sends this reply, then closes the connection.
    pub fn reply_and_hang_up(reply: impl Into<String>) -> Self {
        Self::ReplyAndHangUp(reply.into())
    }

    /// The text of the scripted reply, if there is one.
    pub(super) fn reply(&self) -> Option<&str> {
        match self {
            Self::Reply(reply) | Self::ReplyAndHangUp(reply) => Some(reply),
            _ => None,
        }
    }

    /// True if the session goes on as after the correct reply.
    pub(super) fn grants(&self, correct: &str) -> bool {
        match self.reply() {
            Some(reply) => reply.as_bytes().first() == correct.as_bytes().first(),
            None => *self != Self::Lose,
        }
    }
}

impl From<&str> for Action {
    fn from(reply: &str) -> Self {
        Self::Reply(reply.to_owned())
    }
}

impl From<String> for Action {
    fn from(reply: String) -> Self {
        Self::Reply(reply)
    }
}

//! The result of one attempt to deliver a letter.

use std::time::Duration;

use guestlist::Attempt;

/// The result of one attempt, which decides what happens next.
///
/// The texts are safe for logs and for the inviter: addresses in them are masked, and they never
/// contain a password.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The server took responsibility for the letter: 250 to the end of the data (RFC 5321 section
    /// 4.2.5), or the file is on disk.
    Accepted {
        /// The server's reply, often with its queue id.
        reply: String,
    },
    /// Nothing was tried because the circuit breaker is open. Does not count as an attempt.
    Unavailable {
        /// The time until the next attempt.
        retry_after: Duration,
    },
    /// The server could not take this letter or any other. Does not count as an attempt.
    ServerFault {
        /// A description of the failure.
        why: String,
        /// The time until the next attempt.
        retry_after: Duration,
    },
    /// The recipient cannot be reached now; the letter is retried later.
    Deferred {
        /// The server's reply.
        why: String,
    },
    /// The recipient cannot be reached at all: the invitation has failed and the inviter is told.
    Refused {
        /// The server's reply, or that the server does not support such an address.
        why: String,
    },
    /// This letter will never be accepted; a person should look at it.
    LetterFault {
        /// The server's reply, or the problem with the envelope.
        why: String,
    },
    /// Our configuration or reputation is refused; a person has to fix it. Does not count as an
    /// attempt.
    Ours {
        /// The problem to fix.
        why: String,
        /// The time until the next attempt.
        retry_after: Duration,
    },
    /// The letter was sent completely and the server did not answer, or the worker panicked while
    /// sending: the server may have the letter. The same bytes are sent again.
    Unknown {
        /// A description of what happened instead of an answer.
        why: String,
        /// The time until the next attempt.
        retry_after: Duration,
    },
}

impl Verdict {
    /// Returns the label of metrics, traces and recorded attempts.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => Attempt::ACCEPTED,
            Self::Deferred { .. } => "deferred",
            Self::Refused { .. } => "refused",
            Self::LetterFault { .. } => "letter_fault",
            Self::Unavailable { .. } => "unavailable",
            Self::ServerFault { .. } => "server_fault",
            Self::Ours { .. } => "ours",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// The result of an attempt before the circuit breaker adds the time of the next one.
#[derive(Debug)]
pub(super) enum Outcome {
    Accepted(String),
    ServerFault(String),
    Deferred(String),
    Refused(String),
    LetterFault(String),
    Ours(String),
    Unknown(String),
}

impl Outcome {
    pub(super) fn verdict(self, retry_after: Duration) -> Verdict {
        match self {
            Self::Accepted(reply) => Verdict::Accepted { reply },
            Self::ServerFault(why) => Verdict::ServerFault { why, retry_after },
            Self::Deferred(why) => Verdict::Deferred { why },
            Self::Refused(why) => Verdict::Refused { why },
            Self::LetterFault(why) => Verdict::LetterFault { why },
            Self::Ours(why) => Verdict::Ours { why, retry_after },
            Self::Unknown(why) => Verdict::Unknown { why, retry_after },
        }
    }
}

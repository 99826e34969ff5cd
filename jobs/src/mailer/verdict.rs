//! What became of one attempt to deliver a letter.

use std::time::Duration;

/// What became of one attempt, and so what has to happen next.
///
/// The texts are fit for a log and for the inviter: addresses in them are masked, and they
/// never hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server took responsibility: 250 to the end of the data (RFC 5321 section 4.2.5),
    /// or the file is on disk.
    Accepted {
        /// The server's last word, often with its queue id.
        reply: String,
    },
    /// Nothing was tried: the gate is closed. Nobody's attempts are spent.
    Unavailable {
        /// When a letter may be tried again.
        retry_after: Duration,
    },
    /// The server could not take the letter, as it could not take any. Nobody's attempts
    /// are spent.
    ServerFault {
        /// What happened.
        why: String,
        /// When a letter may be tried again.
        retry_after: Duration,
    },
    /// The recipient cannot be reached for now: this letter waits.
    Deferred {
        /// The server's reply.
        why: String,
    },
    /// The recipient cannot be reached for good: the invitation has failed and the inviter
    /// is told.
    Refused {
        /// The server's reply, or that the server cannot carry such an address.
        why: String,
    },
    /// This letter will never be taken, and a person should look at it.
    LetterFault {
        /// The server's reply, or what is wrong with the envelope.
        why: String,
    },
    /// Our configuration or reputation is refused; a person has to mend it. Nobody's
    /// attempts are spent.
    Ours {
        /// What to mend.
        why: String,
        /// When a letter may be tried again.
        retry_after: Duration,
    },
    /// The letter was sent completely and the server never answered, or sending it panicked: the
    /// server may have it. The same bytes are sent again.
    Unknown {
        /// What happened instead of an answer.
        why: String,
        /// When a letter may be tried again.
        retry_after: Duration,
    },
}

/// What became of an attempt before the gate said when the next may come.
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

//! The result of one attempt to deliver a letter.

use std::time::Duration;

use guestlist::Attempt;

use crate::smtp::{Enhanced, Reply, SmtpError, Stage};

/// The result of one attempt, which decides what happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The kind of result.
    pub class: VerdictClass,
    /// The description for people and for the record of attempts.
    pub detail: Detail,
    /// The time until the next attempt, if the class leaves it to the mailer: after a failure of the
    /// server, a refusal of our account, throttling, or no answer; after a deferral if the server may
    /// mean everybody.
    pub retry_after: Duration,
}

/// The kind of result of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerdictClass {
    /// The server took responsibility for the letter: 250 to the end of the data (RFC 5321 section
    /// 4.2.5), or the file is on disk.
    Accepted,
    /// The recipient cannot be reached now; the letter is tried again by the schedule.
    Deferred,
    /// The recipient or the letter is refused for now: a permanent reply that is not yet confirmed by
    /// further attempts and by what happens to other letters.
    Provisional,
    /// The recipient cannot be reached at all.
    Refused,
    /// The server asks to send more slowly.
    Throttled,
    /// The server can take no letter now.
    ServerFault,
    /// The server refuses our account, address or reputation; a person has to fix it.
    SenderRefused,
    /// The letter was sent completely and the server did not answer, or the worker panicked while
    /// sending: the server may have the letter. The same bytes are sent again.
    Unknown,
    /// Nothing was tried, because the circuit breaker is open, the mailer is closed or the letter was
    /// withdrawn.
    NotTried,
}

impl VerdictClass {
    /// Every class of an attempt, in the order of the metrics.
    pub(crate) const TRIED: [Self; 8] = [
        Self::Accepted,
        Self::Deferred,
        Self::Provisional,
        Self::Refused,
        Self::Throttled,
        Self::ServerFault,
        Self::SenderRefused,
        Self::Unknown,
    ];

    /// Returns the label of metrics, traces and recorded attempts.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => Attempt::ACCEPTED,
            Self::Deferred => Attempt::DEFERRED,
            Self::Provisional => "provisional",
            Self::Refused => "refused",
            Self::Throttled => Attempt::THROTTLED,
            Self::ServerFault => "server_fault",
            Self::SenderRefused => "sender_refused",
            Self::Unknown => "unknown",
            Self::NotTried => "not_tried",
        }
    }
}

/// The description of a result.
///
/// The text is safe for logs and for the inviter: addresses in it are masked, and it never contains a
/// password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detail {
    /// The server's reply, or a description of what happened instead.
    pub text: String,
    /// The step of the session.
    pub stage: Option<&'static str>,
    /// The reply code.
    pub code: Option<u16>,
    /// The enhanced status code, such as `5.1.1` (RFC 3463).
    pub enhanced: Option<String>,
    /// The id under which the server queued an accepted letter, if its reply has one in a known form.
    pub queue_id: Option<String>,
    /// True if the reply says that the mailbox is missing or disabled, so that further letters to the
    /// address are pointless.
    pub says_mailbox_is_missing: bool,
}

impl Verdict {
    /// Returns true if the letter was accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.class == VerdictClass::Accepted
    }

    pub(super) fn new(class: VerdictClass, detail: Detail) -> Self {
        Self {
            class,
            detail,
            retry_after: Duration::ZERO,
        }
    }

    pub(super) fn after(self, retry_after: Duration) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    pub(super) fn not_tried(text: &str, retry_after: Duration) -> Self {
        Self::new(VerdictClass::NotTried, Detail::of_text(text)).after(retry_after)
    }
}

impl Detail {
    pub(super) fn of_text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub(super) fn of_reply(stage: Stage, reply: &Reply) -> Self {
        Self {
            text: reply.to_string(),
            stage: Some(stage.label()),
            code: Some(reply.code),
            enhanced: reply
                .enhanced()
                .map(|enhanced: Enhanced| enhanced.to_string()),
            queue_id: reply.queue_id(),
            says_mailbox_is_missing: false,
        }
    }

    pub(super) fn of_error(error: &SmtpError) -> Self {
        let detail = match error.reply() {
            Some((stage, reply)) => Self::of_reply(stage, reply),
            None => Self {
                stage: error.stage().map(Stage::label),
                ..Self::default()
            },
        };
        Self {
            text: error.to_string(),
            ..detail
        }
    }
}

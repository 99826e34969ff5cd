//! The reasons for which a letter is not sent now.

use std::time::Duration;

use guestlist::outbox::Cost;

use crate::mailer::Unavailable;
use crate::next::Next;

/// The reason why a letter may not be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// The lease was lost while the letter waited.
    LeaseLost,
    /// The worker stops; another worker takes over the letters that were not admitted yet.
    Stopping,
    /// The circuit breaker of the mail server is open, or no connection is ready.
    Unavailable {
        /// The reason.
        why: String,
        /// The time until the next try.
        retry_after: Duration,
    },
}

impl From<Unavailable> for NotAdmitted {
    fn from(Unavailable { why, retry_after }: Unavailable) -> Self {
        Self::Unavailable { why, retry_after }
    }
}

impl NotAdmitted {
    /// Returns the next step of a letter that was not admitted.
    pub(crate) fn next(self) -> Next {
        let (after, why) = match self {
            // Settling changes nothing then: another worker has taken the lease, or will before it
            // acts.
            Self::LeaseLost => (
                Duration::ZERO,
                "the lease was lost before the letter was delivered".to_owned(),
            ),
            Self::Stopping => (
                Duration::ZERO,
                "the worker stopped before this letter was sent".to_owned(),
            ),
            Self::Unavailable { why, retry_after } => (retry_after, why),
        };
        Next::Retry {
            after,
            why,
            cost: Cost::Nothing,
        }
    }
}

//! The last check before a letter is finished, and whether the server was sent a part or all of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::error::SmtpError;

/// A predicate that is called at the last moment at which a letter can be held back: before its
/// final dot. It remembers whether the letter was begun and whether its final dot may have been sent,
/// also if its sending is cancelled. Clones share all of it.
#[derive(Clone)]
pub(crate) struct SendGuard {
    stands: Arc<dyn Fn() -> bool + Send + Sync>,
    has_begun: Arc<AtomicBool>,
    has_ended: Arc<AtomicBool>,
}

impl SendGuard {
    pub(crate) fn new(stands: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self {
            stands: Arc::new(stands),
            has_begun: Arc::default(),
            has_ended: Arc::default(),
        }
    }

    /// Notes that the server is about to receive the letter, which may arrive from now on.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Relaxed);
    }

    /// Returns whether the server was sent the letter, or a part of it, in any attempt.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Relaxed)
    }

    /// Notes that the end of the letter is about to be sent, after which the server may accept it.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Relaxed);
    }

    /// Returns whether the server may have accepted the letter in any attempt.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    /// Returns an error once the letter must not be sent any more.
    pub(crate) fn check(&self) -> Result<(), SmtpError> {
        if (self.stands)() {
            Ok(())
        } else {
            Err(SmtpError::Withdrawn)
        }
    }
}

impl fmt::Debug for SendGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendGuard")
    }
}

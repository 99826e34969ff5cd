//! The last check before a letter is finished.

use std::fmt;
use std::sync::Arc;

use super::error::SmtpError;

/// A predicate that is called at the last moment at which a letter can be held back: before its
/// final dot.
#[derive(Clone)]
pub(crate) struct SendGuard(Arc<dyn Fn() -> bool + Send + Sync>);

impl SendGuard {
    pub(crate) fn new(stands: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(stands))
    }

    /// Returns an error once the letter must not be sent any more.
    pub(crate) fn check(&self) -> Result<(), SmtpError> {
        if (self.0)() {
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

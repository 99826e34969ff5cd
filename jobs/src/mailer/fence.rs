//! The last check before a letter is finished.

use std::fmt;
use std::sync::Arc;

use super::failure::Failure;

/// A predicate that is called at the last moment at which a letter can be held back: before its
/// final dot.
#[derive(Clone)]
pub(super) struct Fence(Arc<dyn Fn() -> bool + Send + Sync>);

impl Fence {
    pub(super) fn new(stands: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(stands))
    }

    /// Returns an error once the letter must not be sent any more.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if (self.0)() {
            Ok(())
        } else {
            Err(Failure::Withdrawn)
        }
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fence")
    }
}

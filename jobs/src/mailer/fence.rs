//! Whether a letter may still be finished.

use std::fmt;
use std::sync::Arc;

use super::failure::Failure;

/// Asked at the last moment at which a letter can still be held back: before its final dot.
#[derive(Clone)]
pub(super) struct Fence(Arc<dyn Fn() -> bool + Send + Sync>);

impl Fence {
    pub(super) fn new(stands: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(stands))
    }

    /// Refuses to go on once it fell.
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

//! Data with the time at which it was read.

use std::time::{Duration, Instant};

/// The age up to which data may decide that a letter is sent.
const FRESH: Duration = Duration::from_millis(50);

/// A value read or derived, with the time at which it was requested.
pub(crate) struct Timestamped<T> {
    pub(crate) value: T,
    pub(crate) asked: Instant,
}

impl<T> Timestamped<T> {
    /// Returns whether the value is recent enough to decide that a letter is sent.
    pub(crate) fn is_fresh(&self) -> bool {
        self.asked.elapsed() < FRESH
    }
}

//! What was read, and since when it may be out of date.

use std::time::{Duration, Instant};

/// How old facts may be when a letter leaves on the strength of them.
const FRESH: Duration = Duration::from_millis(50);

/// What was read, or made of it, and when it was asked for.
pub(crate) struct Dated<T> {
    pub(crate) value: T,
    pub(crate) asked: Instant,
}

impl<T> Dated<T> {
    /// What was not read anywhere, or just now.
    pub(crate) fn now(value: T) -> Self {
        Self {
            value,
            asked: Instant::now(),
        }
    }

    /// Whether a letter may leave on the strength of it now.
    pub(crate) fn is_fresh(&self) -> bool {
        self.asked.elapsed() < FRESH
    }
}

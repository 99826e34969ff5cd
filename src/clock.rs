//! The clock that the library, the worker and the tests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The source of `now`, bound into every statement instead of SQL's own `now()`.
///
/// Times are truncated to microseconds, the precision of both databases, so a value reads back
/// equal.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// The machine's clock plus an offset, for trials.
    Shifted(TimeDelta),
    /// A clock that moves only when told to; clones share it. For tests.
    Manual(ManualClock),
}

/// The handle that moves a [`Clock::Manual`].
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl Clock {
    /// Returns the time now, in whole microseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now().trunc_subsecs(6),
            Self::Shifted(by) => (Utc::now() + *by).trunc_subsecs(6),
            Self::Manual(clock) => clock.now(),
        }
    }
}

impl ManualClock {
    /// Makes a clock that shows `start`.
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        Self(Arc::new(AtomicI64::new(start.timestamp_micros())))
    }

    /// Moves the clock by `step`, which may be negative.
    pub fn advance(&self, step: TimeDelta) {
        let micros = step.num_microseconds().unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl From<&ManualClock> for Clock {
    fn from(clock: &ManualClock) -> Self {
        Self::Manual(clock.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_a_whole_number_of_microseconds() {
        assert_eq!(Clock::System.now().timestamp_subsec_nanos() % 1000, 0);
    }

    #[test]
    fn a_manual_clock_moves_for_all_its_clones() {
        let hands = ManualClock::starting_at(Utc::now());
        let clock = Clock::from(&hands);
        let before = clock.now();
        hands.advance(TimeDelta::days(7));
        assert_eq!(clock.now() - before, TimeDelta::days(7));
    }
}

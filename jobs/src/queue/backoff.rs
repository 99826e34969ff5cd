//! How long a failed worker waits before it is started again.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Doubling waits with jitter, and which failures deserve a line in the log.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts one more failure and returns the wait after it: 50 ms doubling to one second, a
    /// random half of it taken off so that processes do not return in step.
    pub(super) fn next_wait(&mut self) -> Duration {
        let doubled = SHORTEST.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        doubled.min(LONGEST).mul_f64(rand::random_range(0.5..=1.0))
    }

    /// True for the 1st, 2nd, 4th, 8th … failure in a row: an hour of outage is a dozen lines.
    pub(super) fn is_worth_a_line(&self) -> bool {
        self.failures.is_power_of_two()
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_one_second_and_stay_there() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..100).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= SHORTEST && waits[0] >= SHORTEST / 2);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[10..].iter().all(|wait| *wait >= LONGEST / 2));
        backoff.reset();
        assert!(backoff.next_wait() <= SHORTEST);
    }

    #[test]
    fn an_outage_of_an_hour_is_a_dozen_lines() {
        let mut backoff = Backoff::default();
        let lines = (0..3_600)
            .filter(|_| {
                backoff.next_wait();
                backoff.is_worth_a_line()
            })
            .count();
        assert_eq!(lines, 12);
    }
}

//! The wait of a failed worker before it is restarted.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Doubling waits with jitter, and the choice of failures to log.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts one more failure and returns the wait after it: from 50 ms, doubling to one second,
    /// reduced at random by up to half so that processes do not retry at the same moment.
    pub(super) fn next_wait(&mut self) -> Duration {
        let doubled = SHORTEST.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        doubled.min(LONGEST).mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Returns true for the 1st, 2nd, 4th, 8th … failure in a row, so that an outage of an hour logs
    /// a dozen lines.
    pub(super) fn is_logged(&self) -> bool {
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
    fn an_outage_of_an_hour_logs_a_dozen_lines() {
        let mut backoff = Backoff::default();
        let lines = (0..3_600)
            .filter(|_| {
                backoff.next_wait();
                backoff.is_logged()
            })
            .count();
        assert_eq!(lines, 12);
    }
}

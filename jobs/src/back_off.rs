//! The delay before another try, and its jitter.

use std::time::Duration;

/// A delay that doubles with every failure in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackOff {
    /// The delay after the first failure, before jitter.
    pub first: Duration,
    /// The upper bound of the delay, before jitter.
    pub longest: Duration,
}

impl BackOff {
    /// Creates a back-off from the delay after the first failure and the longest delay.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the delay after so many failures in a row, with jitter.
    pub(crate) fn after(self, failures: impl Into<i64>) -> Duration {
        let doublings = failures.into().saturating_sub(1).clamp(0, 31);
        jittered(self.first.saturating_mul(1 << doublings).min(self.longest))
    }
}

/// Adds up to a fifth, so that workers and jobs that failed together do not retry together. Never
/// shortens a delay, because some are minimums that a standard asks for.
pub(crate) fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(rand::random_range(1.0..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK_OFF: BackOff = BackOff::new(Duration::from_secs(1), Duration::from_secs(60));

    #[test]
    fn delays_double_up_to_the_longest() {
        let expected = [1, 1, 1, 2, 4, 8, 16, 32, 60, 60];
        let failures = [i64::MIN, 0, 1, 2, 3, 4, 5, 6, 7, i64::MAX];
        for (expected, failures) in expected.into_iter().zip(failures) {
            let part = BACK_OFF.after(failures).as_secs_f64() / f64::from(expected);
            assert!(
                (1.0..1.2).contains(&part),
                "{part} of {expected} s after {failures} failures"
            );
        }
    }

    #[test]
    fn jitter_spreads_equal_delays() {
        let delays: Vec<_> = (0..1000).map(|_| jittered(BACK_OFF.first)).collect();
        let (least, most) = (delays.iter().min(), delays.iter().max());
        assert!(least < Some(&Duration::from_millis(1020)), "{least:?}");
        assert!(most > Some(&Duration::from_millis(1180)), "{most:?}");
    }
}

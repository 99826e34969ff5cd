//! Statistics of repeated measurements.

use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;

/// Values of one measurement, one for each repetition, in ascending order. There is at least one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    /// # Errors
    /// If there is no value, or one that is not finite.
    pub(crate) fn new(mut figures: Vec<f64>) -> anyhow::Result<Self> {
        anyhow::ensure!(!figures.is_empty(), "nothing was measured");
        anyhow::ensure!(
            figures.iter().all(|figure| figure.is_finite()),
            "{figures:?} contains a value that is not finite"
        );
        figures.sort_by(f64::total_cmp);
        Ok(Self(figures))
    }

    /// Returns the middle value, or the mean of the two middle values.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            self.0[middle]
        } else {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        }
    }

    pub(crate) fn lowest(&self) -> f64 {
        self.0[0]
    }

    pub(crate) fn highest(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// Returns the difference of the highest and the lowest value as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.highest() - self.lowest()) / self.median()
    }

    /// Returns all values, the lowest first.
    pub(crate) fn all(&self) -> &[f64] {
        &self.0
    }
}

/// A histogram of durations.
#[derive(Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        Self(Histogram::new(3).expect("a valid number of significant digits"))
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0
            .record(nanoseconds)
            .expect("the histogram resizes itself");
    }

    /// Returns the duration that this share of them did not exceed, to three digits.
    ///
    /// # Errors
    /// If nothing was recorded.
    pub(crate) fn quantile(&self, share: f64) -> anyhow::Result<Duration> {
        (!self.0.is_empty())
            .then(|| Duration::from_nanos(self.0.value_at_quantile(share)))
            .context("nothing was measured")
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Returns a count per second.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        for (figures, median) in [
            (vec![3.0], 3.0),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![4.0, 1.0, 2.0, 100.0], 3.0),
        ] {
            let reversed = figures.iter().rev().copied().collect();
            assert_eq!(Figures::new(figures).unwrap().median(), median);
            assert_eq!(Figures::new(reversed).unwrap().median(), median);
        }
    }

    #[test]
    fn the_spread_is_relative_to_the_median() {
        let figures = Figures::new(vec![12.0, 10.0, 9.0]).unwrap();
        assert_eq!((figures.lowest(), figures.highest()), (9.0, 12.0));
        assert!((figures.spread() - 0.3).abs() < 1e-9);
        assert_eq!(Figures::new(vec![7.0]).unwrap().spread(), 0.0);
    }

    #[test]
    fn a_missing_value_or_nan_is_an_error() {
        assert!(Figures::new(Vec::new()).is_err());
        assert!(Figures::new(vec![1.0, f64::NAN]).is_err());
        assert!(Times::new().quantile(0.5).is_err());
    }

    #[test]
    fn a_quantile_is_a_recorded_duration() {
        let mut times = Times::new();
        for millisecond in (1..=1000).rev() {
            times.record(Duration::from_millis(millisecond));
        }
        for (share, expected) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = milliseconds(times.quantile(share).unwrap());
            assert!((found / expected - 1.0).abs() < 1e-3, "{share}: {found}");
        }
    }

    #[test]
    fn a_rate_is_per_second() {
        assert_eq!(rate(300, Duration::from_millis(1500)), 200.0);
    }
}

//! The clock error of each process.

use std::time::Duration;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Largest clock error, in seconds. A worker stops working when its clock differs from the database's by
/// more than 30 s; the margin is for the error of that measurement.
pub(crate) const MAX_SKEW_SECONDS: u32 = 28;

/// The largest clock error, and the seed that each process's error follows from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub(super) max_skew: Duration,
    pub(super) seed: u64,
}

impl Clocks {
    /// The clock error of process number `index`: the first is ahead by the maximum, the second behind
    /// by the maximum, and the others are random.
    pub(super) fn skew_of(self, index: usize) -> TimeDelta {
        let max = i64::try_from(self.max_skew.as_millis()).unwrap_or(i64::MAX);
        let millis = match index {
            0 => max,
            1 => -max,
            _ => {
                let mut random = StdRng::seed_from_u64(self.seed.wrapping_add(index as u64));
                random.random_range(-max..=max)
            }
        };
        TimeDelta::milliseconds(millis)
    }
}

//! By how much each process's clock is off.

use std::time::Duration;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A worker stands down past 30 s; the rest is for its looking at the database's clock.
pub(crate) const MOST: u32 = 28;

/// How far clocks may be off, and the seed of how far each is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub(super) most: Duration,
    pub(super) seed: u64,
}

impl Clocks {
    /// The clock of the process in this place: the first two are off as far as may be, one ahead and
    /// one behind, and the others by something between.
    pub(super) fn of(self, place: usize) -> TimeDelta {
        let most = i64::try_from(self.most.as_millis()).unwrap_or(i64::MAX);
        let millis = match place {
            0 => most,
            1 => -most,
            _ => {
                let mut random = StdRng::seed_from_u64(self.seed.wrapping_add(place as u64));
                random.random_range(-most..=most)
            }
        };
        TimeDelta::milliseconds(millis)
    }
}

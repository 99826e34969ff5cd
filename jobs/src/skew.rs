//! The difference between this machine's clock and the database's, and the database's time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::{Database, Guestlist, worker};
use tracing::{error, info, warn};

use crate::deadline::in_time;

/// The largest difference at which the worker still works: expiry depends on time, and a wrong
/// clock would decide wrongly.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// The response time from which an answer is too late to compare clocks.
const LATE: Duration = Duration::from_secs(1);

/// Returns how far the worker's clock is ahead of the database's; negative if it is behind.
///
/// # Errors
/// The error of the database.
pub async fn clock_skew(
    guestlist: &Guestlist,
    database: &Database,
) -> Result<TimeDelta, guestlist::Error> {
    worker::clock_skew(guestlist, &mut database.acquire().await?).await
}

/// Returns whether a skew is too large to work with.
pub fn is_too_much(skew: TimeDelta) -> bool {
    skew.abs() > MAX_SKEW
}

/// The database's time, computed from this machine's clock and its last known skew.
///
/// Leases are measured with it. The clocks of two workers may differ by more than the duration of a
/// lease and still be within the allowed skew; with their own clocks, one would take leases that
/// the other still holds.
#[derive(Clone)]
pub(crate) struct DatabaseClock {
    guestlist: Guestlist,
    database: Database,
    /// The last skew that was read.
    skew: Arc<Mutex<Option<TimeDelta>>>,
}

impl DatabaseClock {
    /// Creates a clock that has to be [set](Self::set) before it is used.
    pub(crate) fn new(guestlist: Guestlist, database: Database) -> Self {
        Self {
            guestlist,
            database,
            skew: Arc::default(),
        }
    }

    /// Returns the database's time, as far as it is known.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.guestlist.now() - self.skew().unwrap_or_default()
    }

    /// Returns whether no work may start: the clocks differ too much, or were never compared.
    pub(crate) fn is_too_skewed(&self) -> bool {
        self.skew().is_none_or(is_too_much)
    }

    /// Compares the clocks again. While the database does not answer, the last value stays.
    pub(crate) async fn set(&self) {
        let asked = Instant::now();
        let skew = match in_time(clock_skew(&self.guestlist, &self.database)).await {
            Ok(skew) => skew,
            Err(error) => {
                return warn!(%error, "the clock was not compared with the database's: {error}");
            }
        };
        // If the process was paused meanwhile, half the pause would count as skew.
        if asked.elapsed() > LATE && self.skew().is_some() {
            return;
        }
        let before = self.lock().replace(skew);
        let was_too_much = before.is_some_and(is_too_much);
        let seconds = skew.num_seconds();
        if is_too_much(skew) && !was_too_much {
            error!(
                seconds,
                "this machine's clock differs by {seconds} s from the database's; the worker does nothing until the clock is correct"
            );
        } else if was_too_much && !is_too_much(skew) {
            info!("the clocks agree again; the worker continues");
        }
    }

    fn skew(&self) -> Option<TimeDelta> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<TimeDelta>> {
        self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Whether this machine's clock agrees with the database's, and the database's time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::{Database, Guestlist, worker};
use tracing::{error, info, warn};

use crate::deadline::in_time;

/// How far the clocks may differ before the worker stands down: time decides about expiry, and a
/// wrong clock would decide wrongly.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// How late an answer tells nothing about the clocks any more.
const LATE: Duration = Duration::from_secs(1);

/// How far the worker's clock is ahead of the database's, or behind it where negative.
///
/// # Errors
/// The database's.
pub async fn clock_skew(
    guestlist: &Guestlist,
    database: &Database,
) -> Result<TimeDelta, guestlist::Error> {
    worker::clock_skew(guestlist, &mut database.acquire().await?).await
}

/// Whether a skew is too much to work with.
pub fn is_too_much(skew: TimeDelta) -> bool {
    skew.abs() > MAX_SKEW
}

/// The database's time, told by this machine's clock and what it is known to be off by.
///
/// Leases are measured by it. The clocks of two workers may differ by more than a lease lives and
/// still be close enough to work by; read off their own clocks, one would take what the other is
/// at work on.
#[derive(Clone)]
pub(crate) struct DatabaseClock {
    guestlist: Guestlist,
    database: Database,
    /// The skew that was read last.
    skew: Arc<Mutex<Option<TimeDelta>>>,
}

impl DatabaseClock {
    /// A clock that is to be set by [`set`](Self::set) before it is of use.
    pub(crate) fn new(guestlist: Guestlist, database: Database) -> Self {
        Self {
            guestlist,
            database,
            skew: Arc::default(),
        }
    }

    /// The database's time, as far as it is known.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.guestlist.now() - self.skew().unwrap_or_default()
    }

    /// Whether nothing may be begun: the clocks disagree too much, or were never compared.
    pub(crate) fn stands_down(&self) -> bool {
        self.skew().is_none_or(is_too_much)
    }

    /// Compares the clocks again. While the database does not answer, what was read last holds.
    pub(crate) async fn set(&self) {
        let asked = Instant::now();
        let skew = match in_time(clock_skew(&self.guestlist, &self.database)).await {
            Ok(skew) => skew,
            Err(error) => return warn!(%error, "the database was not asked the time: {error}"),
        };
        // A process that was paused meanwhile would take half the pause for a skew.
        if asked.elapsed() > LATE && self.skew().is_some() {
            return;
        }
        let before = self.lock().replace(skew);
        let was_too_much = before.is_some_and(is_too_much);
        let seconds = skew.num_seconds();
        if is_too_much(skew) && !was_too_much {
            error!(
                seconds,
                "this machine's clock is {seconds} s off the database's; nothing is done until it is set"
            );
        } else if was_too_much && !is_too_much(skew) {
            info!("the clocks agree again");
        }
    }

    fn skew(&self) -> Option<TimeDelta> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<TimeDelta>> {
        self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Whether this machine's clock agrees with the database's.

use chrono::TimeDelta;
use guestlist::{Database, Organizations, worker};

/// How far the clocks may differ before the worker stands down: time decides about expiry and
/// leases, and a wrong clock would decide wrongly.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// How far the worker's clock is ahead of the database's, or behind it where negative.
///
/// # Errors
/// The database's.
pub async fn clock_skew(
    library: &Organizations,
    database: &Database,
) -> Result<TimeDelta, guestlist::Error> {
    worker::clock_skew(library, &mut database.acquire().await?).await
}

/// Whether a skew is too much to work with.
pub fn is_too_much(skew: TimeDelta) -> bool {
    skew.abs() > MAX_SKEW
}

//! Whether this machine's clock agrees with the database's.

use chrono::TimeDelta;
use guestlist::worker::clock_skew;

use crate::context::Context;

/// How far the clocks may differ before the worker stands down: time decides about expiry and
/// leases, and a wrong clock would decide wrongly.
const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);

/// How far the worker's clock is ahead of the database's, or behind it where negative.
pub(crate) async fn skew(context: &Context) -> Result<TimeDelta, guestlist::Error> {
    clock_skew(&context.library, &mut context.database.acquire().await?).await
}

/// Whether a skew is too much to work with.
pub(crate) fn is_too_much(skew: TimeDelta) -> bool {
    skew.abs() > MAX_SKEW
}

//! The job that deletes history older than the configured retention.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use guestlist::worker::{
    self, delete_closed_invitations, delete_expired_suppressions, delete_old_attempts,
    delete_old_events, delete_old_letters,
};

use crate::context::Context;

const BATCH: u32 = 1000;

/// The retention times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Audit events and closed invitations; `None` keeps them for ever.
    pub(crate) history: Option<Duration>,
    /// The record of sent letters that letter limits are checked against: the longest window of all
    /// limits.
    pub(crate) letters: Duration,
    /// The attempts to send letters.
    pub(crate) attempts: Duration,
}

/// Deletes one batch of each kind and returns whether there may be more.
pub(crate) async fn forget_old(
    context: &Context,
    retention: Retention,
) -> Result<bool, guestlist::Error> {
    let now = context.guestlist.now();
    let mut transaction = worker::begin(&context.database).await?;
    let (mut letters, mut attempts, mut events, mut invitations) = (0, 0, 0, 0);
    if let Some(before) = before(now, retention.letters) {
        letters = delete_old_letters(&mut transaction, before, BATCH).await?;
    }
    if let Some(before) = before(now, retention.attempts) {
        attempts = delete_old_attempts(&mut transaction, before, BATCH).await?;
    }
    let suppressions = delete_expired_suppressions(&mut transaction, now, BATCH).await?;
    if let Some(before) = retention.history.and_then(|history| before(now, history)) {
        events = delete_old_events(&mut transaction, before, BATCH).await?;
        invitations = delete_closed_invitations(&mut transaction, before, BATCH).await?;
    }
    transaction.commit().await?;
    if events + invitations + attempts > 0 {
        tracing::info!(events, invitations, attempts, "old history deleted");
    }
    let deleted = [letters, attempts, suppressions, events, invitations];
    Ok(deleted.contains(&u64::from(BATCH)))
}

/// Returns the time before which rows are too old, or `None` if the retention is longer than any row
/// can be old.
fn before(now: DateTime<Utc>, retention: Duration) -> Option<DateTime<Utc>> {
    let retention = TimeDelta::from_std(retention).ok()?;
    let before = now.checked_sub_signed(retention)?;
    (before > DateTime::UNIX_EPOCH).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_of_any_length_has_a_meaning() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(before(now, day), Some(now - TimeDelta::days(1)));
        assert_eq!(before(now, Duration::ZERO), Some(now));
        for years in [100, 10_000, 1_000_000, 500_000_000_000] {
            assert_eq!(before(now, Duration::from_secs(years * 31_557_600)), None);
        }
        assert_eq!(before(now, Duration::MAX), None);
    }
}

//! The job that deletes history older than the configured retention.

use std::time::Duration;

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
    let letters = delete_old_letters(&mut transaction, now - retention.letters, BATCH).await?;
    let attempts = delete_old_attempts(&mut transaction, now - retention.attempts, BATCH).await?;
    let suppressions = delete_expired_suppressions(&mut transaction, now, BATCH).await?;
    let (mut events, mut invitations) = (0, 0);
    if let Some(history) = retention.history {
        events = delete_old_events(&mut transaction, now - history, BATCH).await?;
        invitations = delete_closed_invitations(&mut transaction, now - history, BATCH).await?;
    }
    transaction.commit().await?;
    if events + invitations + attempts > 0 {
        tracing::info!(events, invitations, attempts, "old history deleted");
    }
    let deleted = [letters, attempts, suppressions, events, invitations];
    Ok(deleted.contains(&u64::from(BATCH)))
}

//! Deletes history that is older than the host wants to keep.

use std::time::Duration;

use guestlist::worker::{self, delete_closed_invitations, delete_old_events, delete_old_letters};

use crate::context::Context;

const BATCH: u32 = 1000;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Audit events and closed invitations; `None` keeps them for ever.
    pub(crate) history: Option<Duration>,
    /// The count of letters that limits are held against: the longest window there is.
    pub(crate) letters: Duration,
}

/// Deletes one batch of each kind and says whether there may be more.
pub(crate) async fn forget_old(
    context: &Context,
    retention: Retention,
) -> Result<bool, guestlist::Error> {
    let now = context.guestlist.now();
    let mut transaction = worker::begin(&context.database).await?;
    let letters = delete_old_letters(&mut transaction, now - retention.letters, BATCH).await?;
    let (mut events, mut invitations) = (0, 0);
    if let Some(history) = retention.history {
        events = delete_old_events(&mut transaction, now - history, BATCH).await?;
        invitations = delete_closed_invitations(&mut transaction, now - history, BATCH).await?;
    }
    transaction.commit().await?;
    if events + invitations > 0 {
        tracing::info!(events, invitations, "old history deleted");
    }
    Ok([letters, events, invitations].contains(&u64::from(BATCH)))
}

//! The job that records overdue invitations as expired.

use guestlist::worker::{self, expire_due};

use crate::context::Context;

/// Invitations per transaction: enough to be cheap, few enough not to block other transactions.
const BATCH: u32 = 1_000;

/// Records one batch and returns whether there may be more.
pub(crate) async fn expire_invitations(context: &Context) -> Result<bool, guestlist::Error> {
    let mut transaction = worker::begin(&context.database).await?;
    let expired = expire_due(&mut transaction, context.guestlist.now(), BATCH).await?;
    transaction.commit().await?;
    if expired > 0 {
        tracing::info!(expired, "{expired} invitations expired");
    }
    Ok(expired == BATCH as usize)
}

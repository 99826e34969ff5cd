//! The job that creates reminders of invitations that are about to expire.

use std::time::Duration;

use guestlist::worker::{self, remind_due};

use crate::context::Context;

/// Invitations per transaction, as for their expiry.
const BATCH: u32 = 1_000;

/// Creates one batch of reminders, `lead` before expiry, and returns whether there may be more.
pub(crate) async fn remind(context: &Context, lead: Duration) -> Result<bool, guestlist::Error> {
    let mut transaction = worker::begin(&context.database).await?;
    let now = context.guestlist.now();
    let seen = remind_due(&mut transaction, now, now + lead, BATCH).await?;
    transaction.commit().await?;
    Ok(seen == BATCH as usize)
}

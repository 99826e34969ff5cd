//! Deletes the sessions that ended with a membership, wherever the host keeps them.

use std::time::Duration;

use guestlist::UserId;
use guestlist::outbox::{Cost, Message};
use tracing::{info, warn};

use super::{Next, Outcome, back_off};
use crate::context::Context;
use crate::metrics::Metrics;
use crate::sessions::purge_in_rounds;

/// The longest wait before a store that failed is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Purges round by round until nothing is left, and is tried again for ever, whatever fails: a
/// session that outlives its membership is what this product exists to prevent.
pub(super) async fn run(
    context: &Context,
    metrics: &Metrics,
    message: &Message,
    user: Option<&UserId>,
) -> Outcome {
    let (database, stores) = (&context.database, &context.sessions);
    let count = |purged| {
        metrics.sessions_purged.inc_by(purged);
    };
    match purge_in_rounds(database, stores, message.organization, user, count).await {
        Ok(0) => Next::Done.into(),
        Ok(forgotten) if context.sessions.is_empty() => {
            warn!(organization = %message.organization, forgotten, "{forgotten} sessions forgotten and not deleted: no store is configured");
            Next::Done.into()
        }
        Ok(purged) => {
            info!(organization = %message.organization, purged, "{purged} sessions purged");
            Next::Done.into()
        }
        Err(error) => {
            let why = error.to_string();
            warn!(organization = %message.organization, why, "sessions are not purged yet: {why}");
            let after = back_off::after_fault(message.faults).min(LONGEST_WAIT);
            Next::Retry {
                after,
                why,
                cost: Cost::Fault,
            }
            .into()
        }
    }
}

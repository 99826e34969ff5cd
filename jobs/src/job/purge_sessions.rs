//! The job that deletes the sessions that ended with a membership, in every store of the host.

use std::time::Duration;

use guestlist::UserId;
use guestlist::outbox::{Cost, Message};
use tracing::{info, warn};

use super::{Next, Outcome};
use crate::back_off::BackOff;
use crate::context::Context;
use crate::metrics::Metrics;
use crate::sessions::purge_in_rounds;

/// The back-off after a failure of a store.
const BACK_OFF: BackOff = BackOff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};

/// Purges in rounds until nothing is left. Retries for ever, whatever fails: preventing a session
/// from outliving its membership is a purpose of this product.
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
            warn!(organization = %message.organization, forgotten, "{forgotten} sessions of former members were not deleted: no session store is configured");
            Next::Done.into()
        }
        Ok(purged) => {
            info!(organization = %message.organization, purged, "{purged} sessions purged");
            Next::Done.into()
        }
        Err(error) => {
            let why = error.to_string();
            warn!(organization = %message.organization, why, "sessions of former members are not deleted yet, the job is retried: {why}");
            Next::Retry {
                after: BACK_OFF.after(message.faults + 1),
                why,
                cost: Cost::Fault,
            }
            .into()
        }
    }
}

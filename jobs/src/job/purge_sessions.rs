//! Deletes the sessions that ended with a membership, wherever the host keeps them.

use std::time::Duration;

use guestlist::outbox::{Cost, Message};
use guestlist::worker::{self, EndedSession, ended_sessions, forget_ended_sessions};
use guestlist::{OrganizationId, SessionKey, UserId};
use tracing::{info, warn};

use super::{Next, Outcome, back_off};
use crate::context::Context;
use crate::metrics::Metrics;

/// Sessions a round: small enough that no store is held up by one.
const BATCH: u32 = 500;

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
    match purge(context, metrics, message.organization, user).await {
        Ok(0) => Next::Done.into(),
        Ok(forgotten) if context.sessions.is_empty() => {
            warn!(organization = %message.organization, forgotten, "{forgotten} sessions forgotten and not deleted: no store is configured");
            Next::Done.into()
        }
        Ok(purged) => {
            info!(organization = %message.organization, purged, "{purged} sessions purged");
            Next::Done.into()
        }
        Err(why) => {
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

async fn purge(
    context: &Context,
    metrics: &Metrics,
    organization: OrganizationId,
    user: Option<&UserId>,
) -> Result<usize, String> {
    let mut purged = 0;
    loop {
        let ended = next_round(context, organization, user)
            .await
            .map_err(|fault| fault.to_string())?;
        if ended.is_empty() {
            return Ok(purged);
        }
        delete(context, &ended).await?;
        forget(context, organization, &ended)
            .await
            .map_err(|fault| fault.to_string())?;
        purged += ended.len();
        metrics.sessions_purged.inc_by(ended.len() as u64);
    }
}

async fn next_round(
    context: &Context,
    organization: OrganizationId,
    user: Option<&UserId>,
) -> Result<Vec<EndedSession>, guestlist::Error> {
    let mut connection = context.database.acquire().await?;
    ended_sessions(&mut connection, organization, user, BATCH).await
}

async fn forget(
    context: &Context,
    organization: OrganizationId,
    ended: &[EndedSession],
) -> Result<(), guestlist::Error> {
    let mut transaction = worker::begin(&context.database).await?;
    forget_ended_sessions(&mut transaction, organization, ended).await?;
    transaction.commit().await
}

/// Deletes what no other membership still uses from every store.
async fn delete(context: &Context, ended: &[EndedSession]) -> Result<(), String> {
    let keys: Vec<SessionKey> = ended
        .iter()
        .filter(|session| !session.is_shared)
        .map(|session| session.session.clone())
        .collect();
    for store in &context.sessions {
        store
            .delete(&keys)
            .await
            .map_err(|error| format!("{} did not delete sessions: {error}", store.name()))?;
    }
    Ok(())
}

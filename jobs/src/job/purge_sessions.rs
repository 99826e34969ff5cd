//! Deletes the sessions that ended with a membership, wherever the host keeps them.

use guestlist::outbox::Message;
use guestlist::worker::{EndedSession, ended_sessions, forget_ended_sessions};
use guestlist::{SessionKey, UserId};
use tracing::info;

use super::{Fault, Next, Outcome, back_off};
use crate::context::Context;

/// Sessions a round: small enough that no store is held up by one.
const BATCH: u32 = 500;

/// Purges round by round until nothing is left, and retries until it is done: a session that
/// outlives its membership is what this product exists to prevent.
pub(super) async fn run(
    context: &Context,
    message: &Message,
    user: Option<&UserId>,
) -> Result<Outcome, Fault> {
    let mut purged = 0;
    loop {
        let mut connection = context.database.acquire().await?;
        let ended = ended_sessions(&mut connection, message.organization, user, BATCH).await?;
        drop(connection);
        if ended.is_empty() {
            break;
        }
        if let Err(why) = delete(context, &ended).await {
            let after = back_off::after_fault(message.attempts);
            return Ok(Next::Retry {
                after,
                why,
                spent: true,
            }
            .into());
        }
        let mut transaction = context.database.begin().await?;
        forget_ended_sessions(&mut transaction, message.organization, &ended).await?;
        transaction.commit().await?;
        purged += ended.len();
    }
    if purged > 0 {
        info!(organization = %message.organization, purged, "{purged} sessions purged");
    }
    Ok(Next::Done.into())
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

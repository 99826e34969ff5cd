//! The purge: deletes sessions that ended with a membership from every store and from the database.

use std::sync::Arc;
use std::time::Duration;

use guestlist::worker::{self, ended_sessions, forget_ended_sessions};
use guestlist::{Database, OrganizationId, SessionKey, UserId};
use tokio::time::timeout;

use super::{SessionStore, StoreError};
use crate::deadline::in_time;

/// Sessions per round: few enough not to block a store.
const ROUND: u32 = 500;

/// The time a store may take for a round. A store that never answers would otherwise block its job
/// slot, and the purges behind it, for ever.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// The reason why a purge is not complete. Nothing is lost: the worker purges the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// The database did not return the ended sessions, or could not delete their rows.
    #[error(transparent)]
    Library(#[from] guestlist::Error),
    /// A store did not confirm the deletion.
    #[error("{store} did not delete sessions: {problem}")]
    Store {
        /// The name of the store.
        store: String,
        /// The error of the store.
        problem: StoreError,
    },
}

/// Deletes the ended sessions of one organization, of `user` or of all members, from every store, and
/// returns how many there were. After `Ok` none is left.
///
/// A call is optional: the worker purges within moments of the commit, and retries until it is done.
/// A host calls this right after its own commit if the answer to a request must not leave before the
/// sessions are gone. If it fails, or the process dies, the worker purges the rest.
///
/// Call it after the commit and not on a connection of the transaction, because sessions end with
/// the commit. A session that another membership still uses is forgotten and stays in the stores.
///
/// # Errors
/// [`PurgeError`]; some sessions may be deleted and others not.
///
/// # Examples
/// ```no_run
/// use std::sync::Arc;
///
/// use guestlist::{Actor, Database, Guestlist, OrganizationId, UserId};
/// use guestlist_jobs::sessions::{self, SessionStore};
///
/// async fn remove_and_sign_out(
///     guestlist: &Guestlist,
///     database: &Database,
///     stores: &[Arc<dyn SessionStore>],
///     (actor, acme, bob): (&Actor, OrganizationId, &UserId),
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let mut tx = database.begin().await?;
///     guestlist.act(actor).in_organization(acme).remove(&mut tx, bob).await?;
///     tx.commit().await?; // Bob has no access any more; the worker will purge his sessions
///
///     if let Err(error) = sessions::purge(database, stores, acme, Some(bob)).await {
///         eprintln!("left to the worker: {error}");
///     }
///     Ok(())
/// }
/// ```
pub async fn purge(
    database: &Database,
    stores: &[Arc<dyn SessionStore>],
    organization: OrganizationId,
    user: Option<&UserId>,
) -> Result<u64, PurgeError> {
    purge_in_rounds(database, stores, organization, user, |_| ()).await
}

/// Purges in rounds and reports after each how many sessions it forgot.
pub(crate) async fn purge_in_rounds(
    database: &Database,
    stores: &[Arc<dyn SessionStore>],
    organization: OrganizationId,
    user: Option<&UserId>,
    mut after_round: impl FnMut(u64),
) -> Result<u64, PurgeError> {
    let mut purged = 0;
    loop {
        let ended = in_time(async {
            let mut connection = database.acquire().await?;
            ended_sessions(&mut connection, organization, user, ROUND).await
        });
        let ended = ended.await?;
        if ended.is_empty() {
            return Ok(purged);
        }
        // Sessions that another membership still uses stay in the stores.
        let unshared = ended.iter().filter(|session| !session.is_shared);
        let keys: Vec<_> = unshared.map(|session| session.session.clone()).collect();
        delete(stores, &keys, STORE_TIMEOUT).await?;
        let forgotten = in_time(async {
            let mut transaction = worker::begin(database).await?;
            let forgotten = forget_ended_sessions(&mut transaction, organization, &ended).await?;
            transaction.commit().await?;
            Ok(forgotten)
        });
        let forgotten = forgotten.await?;
        purged += forgotten;
        after_round(forgotten);
    }
}

/// Deletes sessions from every store, each of which may take as long as `store_timeout`.
async fn delete(
    stores: &[Arc<dyn SessionStore>],
    keys: &[SessionKey],
    store_timeout: Duration,
) -> Result<(), PurgeError> {
    for store in stores {
        let deleted = timeout(store_timeout, store.delete(keys)).await;
        let deleted = deleted.unwrap_or_else(|_| {
            let silence = format!("no answer within {store_timeout:?}");
            Err(StoreError::new(silence))
        });
        deleted.map_err(|problem| PurgeError::Store {
            store: store.name().to_owned(),
            problem,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    struct Silent;

    impl SessionStore for Silent {
        fn name(&self) -> &str {
            "the silent store"
        }

        fn delete<'a>(&'a self, _: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>> {
            std::future::pending().boxed()
        }
    }

    #[tokio::test]
    async fn a_store_that_never_answers_is_given_up() {
        let stores: [Arc<dyn SessionStore>; 1] = [Arc::new(Silent)];
        let keys = ["s1".parse().unwrap()];
        let deleted = delete(&stores, &keys, Duration::from_millis(20));
        let deleted = timeout(STORE_TIMEOUT, deleted).await.expect("it ends");
        let expected = "the silent store did not delete sessions: no answer within 20ms";
        assert_eq!(deleted.unwrap_err().to_string(), expected);
    }
}

//! The purge: sessions that ended with a membership, deleted from every store and forgotten.

use std::sync::Arc;
use std::time::Duration;

use guestlist::worker::{self, ended_sessions, forget_ended_sessions};
use guestlist::{Database, OrganizationId, SessionKey, UserId};
use tokio::time::timeout;

use super::{SessionStore, StoreError};
use crate::deadline::in_time;

/// Sessions a round: small enough that no store is held up by one.
const ROUND: u32 = 500;

/// How long a store may take for a round. One that never answers would keep its slot, and the purges
/// behind it, for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a purge is not through. Nothing is lost by it: the worker purges what is left.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The database did not say what ended, or could not forget it.
    #[error(transparent)]
    Library(#[from] guestlist::Error),
    /// A store did not delete for certain.
    #[error("{store} did not delete sessions: {source}")]
    Store {
        /// What the store is called.
        store: String,
        /// What it said.
        source: StoreError,
    },
}

/// Deletes the sessions of one organization that ended, of `user` or of everybody, from every store,
/// and says how many they were. When it returns `Ok`, none is left.
///
/// Nobody has to call it: the worker does, within moments of the commit, and tries until it is done.
/// A host awaits it right after its own commit where the answer to a request must not leave before
/// the sessions are gone. What it did the worker does not find any more, and should it fail, or the
/// process die, the worker does it.
///
/// Await it after the commit and on no connection of the transaction: what is not committed has not
/// ended. A session that another membership still uses is forgotten and stays in the stores.
///
/// # Errors
/// [`PurgeError`], after which some may be deleted and others not.
///
/// # Examples
/// ```no_run
/// use std::sync::Arc;
///
/// use guestlist::{Database, OrganizationId, Guestlist, UserId};
/// use guestlist_jobs::sessions::{self, SessionStore};
///
/// async fn remove_and_sign_out(
///     guestlist: &Guestlist,
///     database: &Database,
///     stores: &[Arc<dyn SessionStore>],
///     (actor, acme, bob): (&UserId, OrganizationId, &UserId),
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let mut tx = database.begin().await?;
///     guestlist.act(actor).in_organization(acme).remove(&mut tx, bob).await?;
///     tx.commit().await?; // Bob has no access any more, and the worker will purge his sessions
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

/// Purges round by round, and says after each how many sessions it forgot.
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
        // What another membership still uses stays in the stores.
        let unshared = ended.iter().filter(|session| !session.is_shared);
        let keys: Vec<_> = unshared.map(|session| session.session.clone()).collect();
        delete(stores, &keys, PATIENCE).await?;
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

/// Deletes sessions from every store, each of which has so much `patience` of ours.
async fn delete(
    stores: &[Arc<dyn SessionStore>],
    keys: &[SessionKey],
    patience: Duration,
) -> Result<(), PurgeError> {
    for store in stores {
        let deleted = timeout(patience, store.delete(keys)).await;
        let deleted = deleted.unwrap_or_else(|_| {
            let silence = format!("no answer within {patience:?}");
            Err(StoreError(silence.into()))
        });
        deleted.map_err(|source| PurgeError::Store {
            store: store.name().to_owned(),
            source,
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
        let deleted = timeout(PATIENCE, deleted).await.expect("it ends");
        let expected = "the silent store did not delete sessions: no answer within 20ms";
        assert_eq!(deleted.unwrap_err().to_string(), expected);
    }
}

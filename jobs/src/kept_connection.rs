//! A connection of the pool that is kept from one query to the next.
//!
//! The pool sends a query to the server when a connection is returned, and again when an idle one is
//! taken. A task that runs hundreds of queries a second keeps its connection while it is busy.

use std::ops::AsyncFnOnce;
use std::time::Duration;

use guestlist::{Database, Error, PooledConnection};

use crate::deadline::in_time;

/// The time for which an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_millis(5);

/// A connection that is taken from the pool when needed and returned when idle or after an error.
pub(crate) struct KeptConnection {
    database: Database,
    connection: Option<PooledConnection>,
}

impl KeptConnection {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            connection: None,
        }
    }

    /// Runs a query on the kept connection, within the time limit of the database. Keeps the
    /// connection only after a success: after an error or a cancellation, an answer may still be on
    /// its way.
    pub(crate) async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut PooledConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let kept = self.connection.take();
        let database = &self.database;
        let (answer, connection) = in_time(async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => database.acquire().await?,
            };
            let answer = question(&mut connection).await?;
            Ok((answer, connection))
        })
        .await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Waits for `next`, and returns the connection to the pool if that takes longer than
    /// [`IDLE_TIMEOUT`].
    pub(crate) async fn wait_for<T>(&mut self, next: impl Future<Output = T>) -> T {
        tokio::pin!(next);
        if self.connection.is_some() {
            if let Ok(next) = tokio::time::timeout(IDLE_TIMEOUT, &mut next).await {
                return next;
            }
            self.connection = None;
        }
        next.await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Returns a pool of one connection and its user, so that an attempt to take the connection shows
    /// whether it is kept.
    async fn pool_of_one() -> (Database, KeptConnection) {
        let database = Database::connect("sqlite::memory:", 1).await.unwrap();
        let kept = KeptConnection::new(database.clone());
        (database, kept)
    }

    async fn is_free(database: &Database) -> bool {
        let taken = tokio::time::timeout(Duration::from_millis(100), database.acquire());
        taken.await.is_ok()
    }

    #[tokio::test]
    async fn it_is_kept_while_busy_and_returned_when_idle() {
        let (database, mut kept) = pool_of_one().await;
        kept.ask(async |_| Ok(())).await.unwrap();
        assert_eq!(kept.wait_for(async { 7 }).await, 7);
        assert!(!is_free(&database).await);
        kept.ask(async |_| Ok(())).await.unwrap();
        let next = kept.wait_for(async {
            tokio::time::sleep(4 * IDLE_TIMEOUT).await;
            is_free(&database).await
        });
        assert!(next.await);
    }

    #[tokio::test]
    async fn it_is_not_kept_after_an_error() {
        let (database, mut kept) = pool_of_one().await;
        let failure = kept.ask(async |_| Err::<(), _>(Error::NoTransaction)).await;
        assert!(failure.is_err());
        assert!(is_free(&database).await);
    }
}

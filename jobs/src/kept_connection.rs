//! A connection that its user keeps from one use to the next.
//!
//! Giving a connection back costs the pool a question to the server, and so does taking one that
//! rested: who asks hundreds of times a second keeps theirs while it is busy.

use std::ops::AsyncFnOnce;
use std::time::Duration;

use guestlist::{Database, Error, PooledConnection};

use crate::deadline::in_time;

/// How long it is kept unused.
const IDLE: Duration = Duration::from_millis(5);

/// Taken from the pool when it is needed, and given back after a rest or an error.
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

    /// Asks by it, within the time a database has to answer. Who fails or is cancelled may leave it
    /// in the midst of an answer, so it is kept only after a success.
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

    /// Waits for what is to come next, and gives it back if that takes longer than a moment.
    pub(crate) async fn wait_for<T>(&mut self, next: impl Future<Output = T>) -> T {
        tokio::pin!(next);
        if self.connection.is_some() {
            if let Ok(next) = tokio::time::timeout(IDLE, &mut next).await {
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

    /// The only connection of a pool of one, so that whoever else wants it shows who has it.
    async fn the_only_one() -> (Database, KeptConnection) {
        let database = Database::connect("sqlite::memory:", 1).await.unwrap();
        let kept = KeptConnection::new(database.clone());
        (database, kept)
    }

    async fn is_free(database: &Database) -> bool {
        let taken = tokio::time::timeout(Duration::from_millis(100), database.acquire());
        taken.await.is_ok()
    }

    #[tokio::test]
    async fn it_is_kept_while_it_is_busy_and_given_back_at_rest() {
        let (database, mut kept) = the_only_one().await;
        kept.ask(async |_| Ok(())).await.unwrap();
        assert_eq!(kept.wait_for(async { 7 }).await, 7);
        assert!(!is_free(&database).await);
        kept.ask(async |_| Ok(())).await.unwrap();
        let next = kept.wait_for(async {
            tokio::time::sleep(4 * IDLE).await;
            is_free(&database).await
        });
        assert!(next.await);
    }

    #[tokio::test]
    async fn what_failed_is_not_kept() {
        let (database, mut kept) = the_only_one().await;
        let failure = kept.ask(async |_| Err::<(), _>(Error::NoTransaction)).await;
        assert!(failure.is_err());
        assert!(is_free(&database).await);
    }
}

//! Batched reads, shared by jobs that run at the same time. Under load a read costs each job little.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::{Database, Error, PooledConnection};
use tokio::sync::{mpsc, oneshot};

use crate::batch::Batch;
use crate::kept_connection::KeptConnection;

/// The maximum number of keys in a batch.
const MOST: usize = 256;

type Found<K, V> = Result<HashMap<K, V>, Error>;
type Read<K, V> =
    Arc<dyn Fn(&mut PooledConnection, Vec<K>) -> BoxFuture<'_, Found<K, V>> + Send + Sync>;
type Request<K, V> = (K, oneshot::Sender<Option<V>>);

/// Reads by key, in batches. Dropping every clone ends its task.
pub(crate) struct Loader<K, V> {
    database: Database,
    read: Read<K, V>,
    requests: mpsc::UnboundedSender<Request<K, V>>,
}

impl<K, V> Clone for Loader<K, V> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            read: Arc::clone(&self.read),
            requests: self.requests.clone(),
        }
    }
}

impl<K, V> Loader<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Creates a loader that reads with `read`, which returns no entry for a key that does not exist.
    pub(crate) fn new(
        database: Database,
        read: impl Fn(&mut PooledConnection, Vec<K>) -> BoxFuture<'_, Found<K, V>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let (requests, batch) = Batch::new(MOST);
        let read: Read<K, V> = Arc::new(read);
        let connection = KeptConnection::new(database.clone());
        tokio::spawn(work(connection, Arc::clone(&read), batch));
        Self {
            database,
            read,
            requests,
        }
    }

    /// Reads one value in a batch with other requests. The read begins after the call, so the value
    /// is never older than the call.
    ///
    /// # Errors
    /// The read of this key failed. One row that cannot be read fails its whole batch, so after a
    /// failed batch each request reads its own key and gets its own error.
    pub(crate) async fn load(&self, key: K) -> Result<Option<V>, Error> {
        let (answer, answered) = oneshot::channel();
        if self.requests.send((key, answer)).is_ok()
            && let Ok(value) = answered.await
        {
            return Ok(value);
        }
        let mut connection = KeptConnection::new(self.database.clone());
        let found = connection.ask(async |connection| (self.read)(connection, vec![key]).await);
        Ok(found.await?.remove(&key))
    }
}

async fn work<K, V>(
    mut connection: KeptConnection,
    read: Read<K, V>,
    mut batch: Batch<Request<K, V>>,
) where
    K: Copy + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    while connection.wait_for(batch.gather()).await {
        let mut requests = std::mem::take(&mut batch.items);
        // Requests of cancelled jobs are dropped.
        requests.retain(|(_, answer)| !answer.is_closed());
        let mut keys: Vec<K> = requests.iter().map(|(key, _)| *key).collect();
        let mut seen = std::collections::HashSet::new();
        keys.retain(|key| seen.insert(*key));
        if keys.is_empty() {
            continue;
        }
        // After an error or a panic the answers are dropped: each request then reads its own key.
        let found = connection.ask(async |connection| read(connection, keys).await);
        if let Ok(Ok(found)) = AssertUnwindSafe(found).catch_unwind().await {
            for (key, answer) in requests {
                let _ = answer.send(found.get(&key).cloned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Squares numbers; 13 fails its batch, 99 panics. Each batch waits for a permit.
    struct Squares {
        loader: Loader<u32, u32>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
        permits: Arc<Semaphore>,
    }

    async fn squares() -> Squares {
        let batches: Arc<Mutex<Vec<Vec<u32>>>> = Arc::default();
        let permits = Arc::new(Semaphore::new(0));
        let (seen, gate) = (batches.clone(), permits.clone());
        let database = Database::connect("sqlite::memory:", 9).await.unwrap();
        let loader = Loader::new(database, move |_, keys: Vec<u32>| {
            let (seen, gate) = (seen.clone(), gate.clone());
            async move {
                seen.lock().unwrap().push(keys.clone());
                gate.acquire().await.unwrap().forget();
                assert!(!keys.contains(&99), "99 panics");
                if keys.contains(&13) {
                    return Err(Error::NoTransaction);
                }
                let there = keys.into_iter().filter(|key| *key < 1000);
                Ok(there.map(|key| (key, key * key)).collect())
            }
            .boxed()
        });
        Squares {
            loader,
            batches,
            permits,
        }
    }

    impl Squares {
        /// Requests a number in a task of its own and waits until the loader has the request.
        async fn ask(&self, key: u32) -> tokio::task::JoinHandle<Result<Option<u32>, Error>> {
            let loader = self.loader.clone();
            let task = tokio::spawn(async move { loader.load(key).await });
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            task
        }

        fn batches(&self) -> Vec<Vec<u32>> {
            self.batches.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn requests_during_a_read_form_the_next_batch() {
        let squares = squares().await;
        let mut asked = Vec::new();
        for key in [2, 3, 4, 3, 1000] {
            asked.push(squares.ask(key).await);
        }
        squares.permits.add_permits(2);
        let mut answers = Vec::new();
        for task in asked {
            answers.push(task.await.unwrap().unwrap());
        }
        assert_eq!(answers, [Some(4), Some(9), Some(16), Some(9), None]);
        assert_eq!(squares.batches(), [vec![2], vec![3, 4, 1000]]);
    }

    #[tokio::test]
    async fn a_bad_key_fails_only_its_own_request() {
        for bad in [13, 99] {
            let squares = squares().await;
            let first = squares.ask(1).await;
            let (good, poisoned, other) = (
                squares.ask(2).await,
                squares.ask(bad).await,
                squares.ask(3).await,
            );
            squares.permits.add_permits(100);
            assert_eq!(first.await.unwrap().unwrap(), Some(1));
            assert_eq!(good.await.unwrap().unwrap(), Some(4));
            assert_eq!(other.await.unwrap().unwrap(), Some(9));
            match poisoned.await {
                Ok(answer) => assert!(matches!(answer, Err(Error::NoTransaction))),
                Err(panicked) => assert!(bad == 99 && panicked.is_panic()),
            }
            assert_eq!(squares.batches()[..2], [vec![1], vec![2, bad, 3]]);
            let later = squares.ask(5).await;
            assert_eq!(
                later.await.unwrap().unwrap(),
                Some(25),
                "it goes on after {bad}"
            );
        }
    }

    #[tokio::test]
    async fn a_cancelled_request_is_not_read_and_harms_no_other() {
        let squares = squares().await;
        let first = squares.ask(1).await;
        let (left, stays) = (squares.ask(2).await, squares.ask(3).await);
        left.abort();
        first.abort();
        let _ = (left.await, first.await);
        squares.permits.add_permits(2);
        assert_eq!(stays.await.unwrap().unwrap(), Some(9));
        assert_eq!(squares.batches(), [vec![1], vec![3]]);
    }
}

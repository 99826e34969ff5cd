//! A transaction that is run again when another one was in the way.

use std::time::Duration;

use guestlist::Error;

/// How often a transaction is tried before a person is asked to try again.
const ATTEMPTS: u32 = 3;

/// How long to give way to who is in the way.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs `attempt`, which begins a transaction and commits it, and again after [`Error::Conflict`].
pub(crate) async fn again_on_conflict<T, F>(attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Error::Conflict(_)) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    attempt().await
}

//! Retries of transactions after a conflict.

use std::time::Duration;

use guestlist::Error;

/// The number of attempts before the person is asked to try again.
const ATTEMPTS: u32 = 3;

/// The pause before a retry, in which the other transaction can finish.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs `attempt`, which begins and commits a transaction, and retries it after [`Error::Conflict`].
pub(crate) async fn retry_on_conflict<T, F>(attempt: impl Fn() -> F) -> Result<T, Error>
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

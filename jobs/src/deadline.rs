//! How long the database may take to answer the worker.

use std::time::Duration;

/// A statement that is never answered, on a connection that is dead and does not know it, must not
/// keep what is behind it waiting: the kernel gives such a connection up after a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was asked of the database, or an error when no answer comes in time. Whether it was done is
/// then unknown, as after any connection that broke.
pub(crate) async fn in_time<T>(
    asked: impl Future<Output = Result<T, guestlist::Error>>,
) -> Result<T, guestlist::Error> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| {
        let silence = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        Err(sqlx::Error::Io(silence).into())
    })
}

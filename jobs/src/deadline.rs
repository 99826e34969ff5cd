//! The deadline for answers of the database.

use std::time::Duration;

/// The longest time to wait for an answer. A statement on a dead connection must not block what
/// waits behind it: the kernel gives such a connection up only after a quarter of an hour.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Awaits a database operation, with an error if no answer comes in time. It is then unknown
/// whether the operation happened, as after any broken connection.
pub(crate) async fn in_time<T>(
    asked: impl Future<Output = Result<T, guestlist::Error>>,
) -> Result<T, guestlist::Error> {
    let answer = tokio::time::timeout(DATABASE_TIMEOUT, asked).await;
    answer.unwrap_or_else(|_| {
        let silence = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        Err(sqlx::Error::Io(silence).into())
    })
}

//! Deletion of old rows in batches, run by the worker.

use chrono::{DateTime, Utc};

use crate::connection::{Dialect, Lend, sql};
use crate::error::Error;
use crate::suppression;

/// Deletes a batch by primary key. The ids are passed as an array, which tells Postgres that they
/// are few; with a subquery it would read the whole table for each batch.
macro_rules! delete_old {
    ($(#[$doc:meta])* $visibility:vis $name:ident, $table:literal, $key:literal, $time:literal) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// [`Error::Database`].
        $visibility async fn $name(
            connection: impl Lend<'_>,
            before: DateTime<Utc>,
            limit: u32,
        ) -> Result<u64, Error> {
            const OLDEST: &str = concat!(
                "SELECT ", $key, " FROM ", $table, " WHERE ", $time, " < $1 ORDER BY ", $time, " LIMIT $2"
            );
            let mut connection = connection.lend();
            let text = match connection.dialect() {
                #[cfg(feature = "postgres")]
                Dialect::Postgres => const_format::concatcp!(
                    "DELETE FROM ", $table, " WHERE ", $key, " = ANY (ARRAY(", OLDEST, "))"
                ),
                #[cfg(feature = "sqlite")]
                Dialect::Sqlite => const_format::concatcp!(
                    "DELETE FROM ", $table, " WHERE ", $key, " IN (", OLDEST, ")"
                ),
            };
            let statement = sql(text).bind(before).bind(i64::from(limit));
            Ok(connection.execute(statement).await?)
        }
    };
}

delete_old!(
    /// Deletes up to `limit` events older than `before`, and returns how many.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, worker};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
    /// let before = guestlist.now() - chrono::TimeDelta::days(365);
    /// let deleted = worker::delete_old_events(&mut *tx, before, 1000).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub delete_old_events,
    "guestlist_events",
    "id",
    "at"
);
delete_old!(
    /// Deletes up to `limit` counted letters older than `before`, and returns how many.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, worker};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
    /// let before = guestlist.now() - chrono::TimeDelta::days(31);
    /// let deleted = worker::delete_old_letters(&mut *tx, before, 1000).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub delete_old_letters,
    "guestlist_letters",
    "id",
    "at"
);
delete_old!(
    /// Deletes up to `limit` invitations closed before `before`, and returns how many.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, worker};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
    /// let before = guestlist.now() - chrono::TimeDelta::days(365);
    /// let deleted = worker::delete_closed_invitations(&mut *tx, before, 1000).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub delete_closed_invitations,
    "guestlist_invitations",
    "id",
    "closed_at"
);
delete_old!(
    /// Deletes up to `limit` suppressions made before `before`, and returns how many.
    delete_old_suppressions,
    "guestlist_suppressions",
    "email_key",
    "at"
);

/// Deletes up to `limit` suppressions that have ended by themselves by `now`, 30 days after they were
/// made, and returns how many.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
/// let deleted = worker::delete_expired_suppressions(&mut *tx, guestlist.now(), 1000).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn delete_expired_suppressions(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<u64, Error> {
    delete_old_suppressions(connection, now - suppression::LIFETIME, limit).await
}

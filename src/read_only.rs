//! Databases that can be read and not written.

#[cfg(feature = "postgres")]
use crate::connection::{Lend, sql};
use crate::database::Database;
use crate::error::Error;

/// The reason why a database accepts no writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadOnly {
    /// This Postgres server is a standby: it replays the log of another server.
    Standby,
    /// This Postgres server begins each transaction as read-only, by `default_transaction_read_only`.
    Setting,
    /// The SQLite file may only be read: by its mode, its folder's, its file system's or the URL's.
    File,
}

impl std::fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Standby => "the database is read-only: the server is a standby",
            Self::Setting => "the database is read-only: default_transaction_read_only is on",
            Self::File => "the database is read-only: the file or its folder cannot be written",
        })
    }
}

/// Checks that the database accepts writes, without a change and without waiting for a lock. Returns
/// the reason if it does not.
///
/// ```
/// # use guestlist::{Database, Error, worker};
/// # async fn example(database: Database) -> Result<(), Error> {
/// if let Some(reason) = worker::read_only(&database).await? {
///     println!("{reason}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`] if the database does not answer.
pub async fn read_only(database: &Database) -> Result<Option<ReadOnly>, Error> {
    match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(_) | Database::PostgresPooler(_) => postgres(database).await,
        #[cfg(feature = "sqlite")]
        Database::Sqlite(pool) => sqlite(pool).await,
    }
}

#[cfg(feature = "postgres")]
async fn postgres(database: &Database) -> Result<Option<ReadOnly>, Error> {
    let statement =
        sql("SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'");
    let mut connection = database.acquire().await?;
    let row: Option<(bool, bool)> = connection.lend().fetch_optional(statement).await?;
    Ok(match row {
        Some((true, _)) => Some(ReadOnly::Standby),
        Some((false, true)) => Some(ReadOnly::Setting),
        _ => None,
    })
}

/// Creates a table and rolls back, on a connection of its own, which sees the modes of the file as they
/// are now. SQLite begins an immediate transaction on a file that it cannot write as well, and refuses
/// only the first write.
#[cfg(feature = "sqlite")]
async fn sqlite(pool: &sqlx::SqlitePool) -> Result<Option<ReadOnly>, Error> {
    use sqlx::{ConnectOptions, Connection};
    /// SQLITE_BUSY and SQLITE_LOCKED: the low byte of a result code.
    const LOCKED: [u32; 2] = [5, 6];
    const WRITE: &str = "BEGIN IMMEDIATE; CREATE TABLE guestlist_write_check (id); ROLLBACK";
    /// SQLITE_READONLY.
    const READ_ONLY: u32 = 8;
    let options = sqlx::sqlite::SqliteConnectOptions::clone(&pool.connect_options());
    let options = options.create_if_missing(false);
    let begun = async {
        let mut connection = options
            .busy_timeout(std::time::Duration::ZERO)
            .connect()
            .await?;
        let begun = sqlx::raw_sql(WRITE).execute(&mut connection).await;
        connection.close().await?;
        begun.map(|_| ())
    };
    let Err(error) = begun.await else {
        return Ok(None);
    };
    let code = error.as_database_error().and_then(|error| error.code());
    match code
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff)
    {
        Some(READ_ONLY) => Ok(Some(ReadOnly::File)),
        Some(code) if LOCKED.contains(&code) => Ok(None),
        _ => Err(error.into()),
    }
}

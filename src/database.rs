//! A pool over either database, for programs that decide at run time.
//!
//! A host that knows its database uses its own sqlx pool and never needs this.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use crate::connection::{Connection, Lend};
use crate::error::Error;

/// A pool of connections to Postgres or to an SQLite file. Cloning shares it.
#[derive(Debug, Clone)]
pub enum Database {
    /// A Postgres pool.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    /// An SQLite pool.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
}

/// An open transaction of a [`Database`]; it rolls back when it is dropped.
#[derive(Debug)]
pub enum Transaction {
    /// A Postgres transaction.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    /// An SQLite transaction, begun IMMEDIATE.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
}

/// A connection of a [`Database`] without a transaction; it goes back when it is dropped.
#[derive(Debug)]
pub enum PooledConnection {
    /// A Postgres connection.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
    /// An SQLite connection.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
}

#[cfg(feature = "postgres")]
impl From<&sqlx::PgPool> for Database {
    fn from(pool: &sqlx::PgPool) -> Self {
        Self::Postgres(pool.clone())
    }
}

#[cfg(feature = "sqlite")]
impl From<&sqlx::SqlitePool> for Database {
    fn from(pool: &sqlx::SqlitePool) -> Self {
        Self::Sqlite(pool.clone())
    }
}

impl From<&Database> for Database {
    fn from(database: &Database) -> Self {
        database.clone()
    }
}

/// How long a connection may have been idle and still be used without a question.
#[cfg(feature = "postgres")]
const FRESH: Duration = Duration::from_secs(1);

/// How long a connection has to give a sign of life before it is let go of. One that is dead and does
/// not know it would keep its place in the pool, and who waits for it, for a quarter of an hour.
#[cfg(feature = "postgres")]
const ANSWER: Duration = Duration::from_secs(1);

/// Whether a connection answers in time.
#[cfg(feature = "postgres")]
async fn answers(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    use sqlx::Connection;
    let answer = tokio::time::timeout(ANSWER, connection.ping()).await;
    answer.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))??;
    Ok(true)
}

/// How long to wait for a connection or for another writer before giving up with a typed error.
const PATIENCE: Duration = Duration::from_secs(30);

impl Database {
    /// Opens at most `connections` connections to `postgres://…` or `sqlite:FILE`, and proves that
    /// one of them works. An SQLite file that does not exist is created.
    ///
    /// # Errors
    /// [`Error::UnknownDatabase`] for another scheme, [`Error::Database`] where it does not answer.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, Error> {
        match url.split(':').next() {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                use sqlx::{ConnectOptions, Connection};
                let options =
                    sqlx::postgres::PgConnectOptions::from_str(url)?.application_name("guestlist");
                // A pool retries a refused connection until its patience ends, and then says only that.
                options.connect().await?.close().await?;
                let pool = sqlx::postgres::PgPoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(PATIENCE)
                    .test_before_acquire(false)
                    .before_acquire(|connection, meta| {
                        Box::pin(
                            async move { Ok(meta.idle_for < FRESH || answers(connection).await?) },
                        )
                    })
                    .after_release(|connection, _| Box::pin(answers(connection)))
                    .connect_with(options)
                    .await?;
                Ok(Self::Postgres(pool))
            }
            #[cfg(feature = "sqlite")]
            Some("sqlite") => {
                let pool = sqlx::sqlite::SqlitePoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(PATIENCE)
                    .connect_with(sqlite_options(url)?)
                    .await?;
                Ok(Self::Sqlite(pool))
            }
            _ => Err(Error::UnknownDatabase),
        }
    }

    /// Begins a transaction; in SQLite an IMMEDIATE one, which waits for its turn to write now
    /// instead of failing later.
    ///
    /// # Errors
    /// [`Error::Database`] when no connection is free in time or the database does not answer.
    pub fn begin(&self) -> impl Future<Output = Result<Transaction, Error>> + Send + use<> {
        let database = self.clone();
        async move {
            match database {
                #[cfg(feature = "postgres")]
                Self::Postgres(pool) => Ok(Transaction::Postgres(pool.begin().await?)),
                #[cfg(feature = "sqlite")]
                Self::Sqlite(pool) => Ok(Transaction::Sqlite(
                    pool.begin_with("BEGIN IMMEDIATE").await?,
                )),
            }
        }
    }

    /// Takes a connection without a transaction, for reading.
    ///
    /// # Errors
    /// [`Error::Database`] when none is free in time or the database does not answer.
    pub async fn acquire(&self) -> Result<PooledConnection, Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Ok(PooledConnection::Postgres(pool.acquire().await?)),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => Ok(PooledConnection::Sqlite(pool.acquire().await?)),
        }
    }

    /// Closes the pool and waits until its connections are gone.
    pub async fn close(&self) {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.close().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

/// Write-ahead log, so readers do not wait for the writer; synchronous FULL, so what was committed
/// survives a power cut; a busy time-out, so writers of several processes take turns. Statements
/// are not logged: one that waited for its turn is not slow, and is no news to anyone.
#[cfg(feature = "sqlite")]
fn sqlite_options(url: &str) -> Result<sqlx::sqlite::SqliteConnectOptions, sqlx::Error> {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
    Ok(SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .disable_statement_logging())
}

impl Transaction {
    /// Makes everything done in it last.
    ///
    /// # Errors
    /// [`Error::Database`]; whether it was committed is then unknown.
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => Ok(transaction.commit().await?),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => Ok(transaction.commit().await?),
        }
    }

    /// Undoes everything done in it.
    ///
    /// # Errors
    /// [`Error::Database`]; the database rolls back by itself then.
    pub async fn rollback(self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => Ok(transaction.rollback().await?),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => Ok(transaction.rollback().await?),
        }
    }
}

impl<'c> Lend<'c> for &'c mut Transaction {
    fn lend(self) -> Connection<'c> {
        match self {
            #[cfg(feature = "postgres")]
            Transaction::Postgres(transaction) => Connection::Postgres(&mut *transaction),
            #[cfg(feature = "sqlite")]
            Transaction::Sqlite(transaction) => Connection::Sqlite(&mut *transaction),
        }
    }
}

impl<'c> Lend<'c> for &'c mut PooledConnection {
    fn lend(self) -> Connection<'c> {
        match self {
            #[cfg(feature = "postgres")]
            PooledConnection::Postgres(connection) => Connection::Postgres(connection),
            #[cfg(feature = "sqlite")]
            PooledConnection::Sqlite(connection) => Connection::Sqlite(connection),
        }
    }
}

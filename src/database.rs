//! A connection pool for either database, for programs that choose one at run time.
//!
//! A host that uses only one of them passes its own sqlx pool instead.

use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

#[cfg(feature = "postgres")]
use crate::connection::pooler;
use crate::connection::{Connection, Lend};
use crate::error::Error;

/// A pool of connections to Postgres or to an SQLite file. Cloning shares it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Database {
    /// A Postgres pool.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    /// A pool of connections to a pooler of Postgres, as for
    /// [`Connection::PostgresPooler`](crate::Connection::PostgresPooler).
    #[cfg(feature = "postgres")]
    PostgresPooler(sqlx::PgPool),
    /// An SQLite pool.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
}

/// An open transaction of a [`Database`]. Dropping it rolls back.
#[derive(Debug)]
#[non_exhaustive]
pub enum Transaction {
    /// A Postgres transaction.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    /// A transaction through a pooler of Postgres.
    #[cfg(feature = "postgres")]
    PostgresPooler(sqlx::Transaction<'static, sqlx::Postgres>),
    /// An SQLite transaction, begun with `BEGIN IMMEDIATE`.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
}

/// A connection of a [`Database`] without a transaction. Dropping it returns it to the pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum PooledConnection {
    /// A Postgres connection.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
    /// A connection to a pooler of Postgres.
    #[cfg(feature = "postgres")]
    PostgresPooler(sqlx::pool::PoolConnection<sqlx::Postgres>),
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

/// The longest idle time after which a connection is used without a check.
#[cfg(feature = "postgres")]
const MAX_IDLE_WITHOUT_CHECK: Duration = Duration::from_secs(1);

/// The time a connection has to answer a check before it is closed. A connection that was lost silently
/// would otherwise keep its place in the pool, and its user waiting, for a quarter of an hour.
#[cfg(feature = "postgres")]
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// Checks a connection: an error if it does not answer in time, false if it cannot write. The pool
/// then closes it and opens another, perhaps to another server.
///
/// After a failover the old primary may answer as a standby, or with
/// `default_transaction_read_only`, for as long as its connections are open. Every other error that
/// ends the use of a connection (SQLSTATE classes 08 and 57P, 25P03) closes it on the server's side.
///
/// `SHOW` is sent by itself, so it takes one round trip, as a ping does.
#[cfg(feature = "postgres")]
async fn can_write(connection: &mut sqlx::PgConnection) -> Result<bool, sqlx::Error> {
    use sqlx::Row;
    let shown = sqlx::raw_sql("SHOW transaction_read_only").fetch_one(connection);
    let answer = tokio::time::timeout(CHECK_TIMEOUT, shown).await;
    let row = answer.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))??;
    Ok(row.try_get::<&str, _>(0)? == "off")
}

/// The time to wait for a free connection, or for another writer, before failing with an error.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

impl Database {
    /// Opens a pool of at most `connections` connections to `postgres://…` or `sqlite:FILE`, and
    /// checks that one of them works. Creates the SQLite file if it does not exist.
    ///
    /// With `?pgbouncer=true` in the URL, the connections are to a pooler of Postgres that hands out
    /// its own by transaction.
    ///
    /// ```
    /// # use guestlist::{Database, Error};
    /// # async fn example() -> Result<(), Error> {
    /// let database = Database::connect("sqlite:guestlist.db", 5).await?;
    /// guestlist::migrate(&database).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownDatabase`] for another scheme, [`Error::Database`] if the database does not
    /// answer.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, Error> {
        match url.split(':').next() {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                use sqlx::{ConnectOptions, Connection};
                let (url, is_pooler) = pooler::split(url)?;
                let mut options =
                    sqlx::postgres::PgConnectOptions::from_str(&url)?.application_name("guestlist");
                if is_pooler {
                    // PgBouncer refuses it unless it is configured to ignore it.
                    options = options.extra_float_digits(None);
                }
                // A pool would retry a refused connection until the time-out, and then report only the time-out.
                options.connect().await?.close().await?;
                let pool = sqlx::postgres::PgPoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(WAIT_TIMEOUT)
                    .test_before_acquire(false)
                    .before_acquire(|connection, meta| {
                        Box::pin(async move {
                            Ok(meta.idle_for < MAX_IDLE_WITHOUT_CHECK
                                || can_write(connection).await?)
                        })
                    })
                    .after_release(|connection, _| Box::pin(can_write(connection)))
                    .connect_with(options)
                    .await?;
                Ok(match is_pooler {
                    true => Self::PostgresPooler(pool),
                    false => Self::Postgres(pool),
                })
            }
            #[cfg(feature = "sqlite")]
            Some("sqlite") => {
                let pool = sqlx::sqlite::SqlitePoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(WAIT_TIMEOUT)
                    .connect_with(sqlite_options(url)?)
                    .await?;
                Ok(Self::Sqlite(pool))
            }
            _ => Err(Error::UnknownDatabase),
        }
    }

    /// Checks the form of a URL, without connecting.
    ///
    /// ```
    /// use guestlist::Database;
    ///
    /// assert!(Database::check_url("postgres://host/app?pgbouncer=true").is_ok());
    /// assert!(Database::check_url("postgres://host:port/app").is_err());
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownDatabase`] for another scheme, [`Error::Database`] with the mistake.
    pub fn check_url(url: &str) -> Result<(), Error> {
        match url.split(':').next() {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                sqlx::postgres::PgConnectOptions::from_str(&pooler::split(url)?.0)?;
                Ok(())
            }
            #[cfg(feature = "sqlite")]
            Some("sqlite") => sqlite_options(url).map(drop).map_err(Error::from),
            _ => Err(Error::UnknownDatabase),
        }
    }

    /// Begins a transaction. On SQLite it is an IMMEDIATE one, which waits for the write lock now
    /// instead of failing later.
    ///
    /// # Errors
    /// [`Error::Database`] if no connection becomes free in time or the database does not answer.
    pub fn begin(&self) -> impl Future<Output = Result<Transaction, Error>> + Send + use<> {
        let database = self.clone();
        async move {
            match database {
                #[cfg(feature = "postgres")]
                Self::Postgres(pool) => Ok(Transaction::Postgres(pool.begin().await?)),
                #[cfg(feature = "postgres")]
                Self::PostgresPooler(pool) => Ok(Transaction::PostgresPooler(pool.begin().await?)),
                #[cfg(feature = "sqlite")]
                Self::Sqlite(pool) => Ok(Transaction::Sqlite(
                    pool.begin_with("BEGIN IMMEDIATE").await?,
                )),
            }
        }
    }

    /// Takes a connection without a transaction, for reading.
    ///
    /// ```
    /// # use guestlist::{Database, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, database: Database, acme: OrganizationId) -> Result<(), Error> {
    /// let mut connection = database.acquire().await?;
    /// let organization = guestlist.organization(&mut connection, acme).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`] if none becomes free in time or the database does not answer.
    pub async fn acquire(&self) -> Result<PooledConnection, Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Ok(PooledConnection::Postgres(pool.acquire().await?)),
            #[cfg(feature = "postgres")]
            Self::PostgresPooler(pool) => {
                Ok(PooledConnection::PostgresPooler(pool.acquire().await?))
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => Ok(PooledConnection::Sqlite(pool.acquire().await?)),
        }
    }

    /// Closes the pool and waits until its connections are gone.
    ///
    /// ```
    /// # use guestlist::{Database, Error};
    /// # async fn example(database: Database) -> Result<(), Error> {
    /// database.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) | Self::PostgresPooler(pool) => pool.close().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

/// Options of the SQLite pool. The write-ahead log lets readers work beside the writer; synchronous
/// FULL keeps committed data after a power cut; the busy time-out lets writers of several processes
/// wait for each other. Slow statements are not logged, because waiting for the write lock counts
/// as slow and is normal.
#[cfg(feature = "sqlite")]
fn sqlite_options(url: &str) -> Result<sqlx::sqlite::SqliteConnectOptions, sqlx::Error> {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
    Ok(SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(WAIT_TIMEOUT)
        .disable_statement_logging())
}

impl Transaction {
    /// Commits the transaction.
    ///
    /// ```
    /// # use guestlist::{Actor, Database, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, database: Database, olivia: Actor, acme: OrganizationId) -> Result<(), Error> {
    /// let mut tx = database.begin().await?;
    /// guestlist.act(&olivia).in_organization(acme).leave(&mut tx).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`]; it is then unknown if the transaction was committed.
    pub async fn commit(self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) | Self::PostgresPooler(transaction) => {
                Ok(transaction.commit().await?)
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => Ok(transaction.commit().await?),
        }
    }

    /// Rolls the transaction back.
    ///
    /// ```
    /// # use guestlist::{Actor, Database, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, database: Database, olivia: Actor, acme: OrganizationId) -> Result<(), Error> {
    /// let mut tx = database.begin().await?;
    /// let refused = guestlist.act(&olivia).in_organization(acme).leave(&mut tx).await.is_err();
    /// if refused {
    ///     tx.rollback().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`]; the database then rolls back by itself.
    pub async fn rollback(self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) | Self::PostgresPooler(transaction) => {
                Ok(transaction.rollback().await?)
            }
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
            #[cfg(feature = "postgres")]
            Transaction::PostgresPooler(transaction) => {
                Connection::PostgresPooler(&mut *transaction)
            }
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
            #[cfg(feature = "postgres")]
            PooledConnection::PostgresPooler(connection) => Connection::PostgresPooler(connection),
            #[cfg(feature = "sqlite")]
            PooledConnection::Sqlite(connection) => Connection::Sqlite(connection),
        }
    }
}

//! The application's own tables, in the same database as Guestlist's.

use std::pin::Pin;
use std::time::Duration;

use guestlist::Database;
use sqlx::migrate::Migrator;

use crate::config::Config;

/// The size of the connection pool, for requests and for a worker in this process.
const CONNECTIONS: u32 = 24;

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// Runs `$body` with `$driver` bound to the Postgres or the SQLite connection. Statements are written once:
/// both drivers accept the placeholder `$1`.
macro_rules! on_driver {
    ($connection:expr, $driver:ident => $body:expr) => {
        match guestlist::Lend::lend($connection) {
            guestlist::Connection::Postgres($driver) => $body,
            guestlist::Connection::Sqlite($driver) => $body,
            _ => unreachable!("neither Postgres nor SQLite"),
        }
    };
}
pub(crate) use on_driver;

/// Opens the database and migrates Guestlist's tables and our own. Both migrations are safe to run at every
/// start and from several processes at once.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Database> {
    let database = config.worker.connect(CONNECTIONS).await?;
    guestlist::migrate(&database).await?;
    // Boxed because the compiler cannot prove that sqlx's own future is Send.
    let migrating: Pin<Box<dyn Future<Output = _> + Send>> = match &database {
        Database::Postgres(pool) => Box::pin(POSTGRES.run(pool)),
        Database::Sqlite(pool) => Box::pin(SQLITE.run(pool)),
        _ => unreachable!("neither Postgres nor SQLite"),
    };
    migrating.await?;
    Ok(database)
}

/// The interval between deletions of expired rows.
const DELETION_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Deletes expired sessions and confirmations at intervals. They are already invalid; this only saves space.
pub(crate) async fn delete_expired_regularly(database: Database) {
    loop {
        if let Err(error) = delete_expired(&database).await {
            tracing::warn!(%error, "expired sessions and confirmations were not deleted, the next attempt is in an hour: {error}");
        }
        tokio::time::sleep(DELETION_INTERVAL).await;
    }
}

async fn delete_expired(database: &Database) -> Result<(), guestlist::Error> {
    let now = chrono::Utc::now();
    for statement in [
        "DELETE FROM team_sessions WHERE expires_at <= $1",
        "DELETE FROM team_confirmations WHERE expires_at <= $1",
    ] {
        let query = on_driver!(&mut database.acquire().await?, driver => {
            sqlx::query(statement).bind(now).execute(driver).await.map(drop)
        });
        query?;
    }
    Ok(())
}

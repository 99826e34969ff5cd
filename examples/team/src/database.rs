//! The application's own tables, beside Guestlist's in the same database.

use std::pin::Pin;
use std::time::Duration;

use guestlist::Database;
use sqlx::migrate::Migrator;

use crate::config::Config;

/// Connections of this process: requests, and the worker where it is inside.
const CONNECTIONS: u32 = 24;

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// Runs `$body` with `$driver` bound to the connection of whichever database it is. Statements are
/// written once, with the `$1` that both drivers read.
macro_rules! on_driver {
    ($connection:expr, $driver:ident => $body:expr) => {
        match guestlist::Lend::lend($connection) {
            guestlist::Connection::Postgres($driver) => $body,
            guestlist::Connection::Sqlite($driver) => $body,
        }
    };
}
pub(crate) use on_driver;

/// Opens the database and brings Guestlist's tables and our own up to date. Both are safe to do at
/// every start, from several processes at once.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Database> {
    let database = config.worker.connect(CONNECTIONS).await?;
    guestlist::migrate(&database).await?;
    // Boxed, because the compiler does not see of sqlx's own future that a task may be spawned with it.
    let migrating: Pin<Box<dyn Future<Output = _> + Send>> = match &database {
        Database::Postgres(pool) => Box::pin(POSTGRES.run(pool)),
        Database::Sqlite(pool) => Box::pin(SQLITE.run(pool)),
    };
    migrating.await?;
    Ok(database)
}

/// How often what is over is swept out of our own tables.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// Deletes sessions and confirmations whose time is over, now and then. Both are refused anyway.
pub(crate) async fn sweep(database: Database) {
    loop {
        if let Err(error) = delete_expired(&database).await {
            tracing::warn!(%error, "what is over was not swept: {error}");
        }
        tokio::time::sleep(SWEEP).await;
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

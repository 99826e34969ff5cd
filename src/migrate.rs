//! The schema, brought up to date.

use std::borrow::Cow;

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use crate::connection::{Dialect, Lend, sql};
use crate::database::Database;
use crate::error::Error;

/// Where it is recorded which migrations ran: a table of our own, so the host's are left alone.
const TABLE: &str = "guestlist_migrations";

#[cfg(feature = "postgres")]
static POSTGRES: Migrator = Migrator {
    table_name: Cow::Borrowed(TABLE),
    locking: false,
    ..sqlx::migrate!("migrations/postgres")
};
#[cfg(feature = "sqlite")]
static SQLITE: Migrator = Migrator {
    table_name: Cow::Borrowed(TABLE),
    locking: false,
    ..sqlx::migrate!("migrations/sqlite")
};

/// Creates or updates Guestlist's tables, all named `guestlist_…`, beside whatever the host has, and says
/// how many migrations that took: none where they were up to date.
///
/// Takes `&PgPool`, `&SqlitePool` or `&Database`. Safe to call at every start and from several
/// processes at once.
///
/// # Errors
/// [`Error::Migrate`] when the schema is newer than this version or was changed by hand.
pub async fn migrate(database: impl Into<Database>) -> Result<usize, Error> {
    match database.into() {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => Ok(run(&POSTGRES, &mut *pool.acquire().await?).await?),
        #[cfg(feature = "sqlite")]
        // SQLite has no advisory lock to migrate under, so one write transaction holds all of it.
        Database::Sqlite(pool) => {
            let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            let applied = run(&SQLITE, &mut *transaction).await?;
            transaction.commit().await?;
            Ok(applied)
        }
    }
}

/// Migrates under sqlx's lock, taken here so that what is counted is what this run applied.
async fn run<C: Migrate>(
    migrator: &'static Migrator,
    connection: &mut C,
) -> Result<usize, MigrateError> {
    connection.lock().await?;
    let applied = apply(migrator, connection).await;
    let unlocked = connection.unlock().await;
    applied.and_then(|applied| unlocked.map(|()| applied))
}

async fn apply<C: Migrate>(
    migrator: &'static Migrator,
    connection: &mut C,
) -> Result<usize, MigrateError> {
    connection.ensure_migrations_table(TABLE).await?;
    let before = connection.list_applied_migrations(TABLE).await?.len();
    migrator.run_direct(None, connection, false).await?;
    let after = connection.list_applied_migrations(TABLE).await?.len();
    Ok(after - before)
}

/// How the tables found in a database compare with those this version expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schema {
    /// There are none: [`migrate`] was never run here.
    Missing,
    /// They are of an older version: [`migrate`] brings them up to date.
    Outdated,
    /// They are the ones this version expects.
    Current,
    /// A newer version migrated them.
    Newer,
}

impl Schema {
    /// Looks at the migrations table, and changes nothing.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn of(connection: impl Lend<'_>) -> Result<Self, Error> {
        let mut connection = connection.lend();
        let (text, migrator) = match connection.dialect() {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => (
                "SELECT count(*) FROM pg_class WHERE oid = to_regclass($1)",
                &POSTGRES,
            ),
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => (
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
                &SQLITE,
            ),
        };
        if connection.fetch_count(sql(text).bind(TABLE)).await? == 0 {
            return Ok(Self::Missing);
        }
        const APPLIED: &str = const_format::concatcp!(
            "SELECT version FROM ",
            TABLE,
            " WHERE success ORDER BY version"
        );
        let applied: Vec<(i64,)> = connection.fetch_all(sql(APPLIED)).await?;
        let newest = applied.last().map(|(version,)| *version);
        Ok(
            match newest.cmp(&migrator.iter().map(|migration| migration.version).max()) {
                std::cmp::Ordering::Less if newest.is_none() => Self::Missing,
                std::cmp::Ordering::Less => Self::Outdated,
                std::cmp::Ordering::Equal => Self::Current,
                std::cmp::Ordering::Greater => Self::Newer,
            },
        )
    }
}

//! Migrations of the schema.

use std::borrow::Cow;

use sqlx::migrate::{Migrate, MigrateError, Migrator};

#[cfg(feature = "postgres")]
use crate::connection::Connection;
use crate::connection::{Dialect, Lend, sql};
use crate::database::Database;
use crate::error::Error;

/// The table that records which migrations ran. It has a name of its own, so the host's is left
/// alone.
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

/// Creates or updates Guestlist's tables, all named `guestlist_…`, beside the host's own, and
/// returns the number of migrations that ran: zero if the tables were up to date.
///
/// Takes `&PgPool`, `&SqlitePool` or `&Database`. Safe to call at every start and from several
/// processes at once.
///
/// ```
/// # use guestlist::{Database, Error};
/// # async fn example(database: Database) -> Result<(), Error> {
/// let applied = guestlist::migrate(&database).await?;
/// println!("{applied} migrations ran");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Migrate`] if the schema is newer than this version or was changed by hand.
pub async fn migrate(database: impl Into<Database>) -> Result<usize, Error> {
    match database.into() {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => Ok(run(&POSTGRES, &mut *pool.acquire().await?).await?),
        #[cfg(feature = "postgres")]
        Database::PostgresPooler(pool) => through_pooler(&pool).await,
        #[cfg(feature = "sqlite")]
        // SQLite has no advisory lock for migrations, so one write transaction covers all of them.
        Database::Sqlite(pool) => {
            let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            let applied = run(&SQLITE, &mut *transaction).await?;
            transaction.commit().await?;
            Ok(applied)
        }
    }
}

/// Migrates in one transaction, because sqlx's lock belongs to a session and its statements have
/// names.
#[cfg(feature = "postgres")]
async fn through_pooler(pool: &sqlx::PgPool) -> Result<usize, Error> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('guestlist_migrations'))";
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
    transaction.ensure_migrations_table(TABLE).await?;
    let recorded = sql("SELECT version, checksum FROM guestlist_migrations ORDER BY version");
    let mut connection = Connection::PostgresPooler(&mut transaction);
    let recorded: Vec<(i64, Vec<u8>)> = connection.fetch_all(recorded).await?;
    for (version, checksum) in &recorded {
        let known = POSTGRES.iter().find(|known| known.version == *version);
        match known {
            None => return Err(MigrateError::VersionMissing(*version).into()),
            Some(known) if *known.checksum != **checksum => {
                return Err(MigrateError::VersionMismatch(*version).into());
            }
            Some(_) => {}
        }
    }
    let is_new = |version| recorded.iter().all(|(known, _)| *known != version);
    let mut applied = 0;
    for migration in POSTGRES
        .iter()
        .filter(|migration| is_new(migration.version))
    {
        sqlx::raw_sql(migration.sql.clone())
            .execute(&mut *transaction)
            .await?;
        let record = sql(
            "INSERT INTO guestlist_migrations
            (version, description, success, checksum, execution_time) VALUES ($1, $2, TRUE, $3, 0)",
        );
        let record = record.bind(migration.version).bind(&*migration.description);
        let mut connection = Connection::PostgresPooler(&mut transaction);
        connection
            .execute(record.bind(&*migration.checksum))
            .await?;
        applied += 1;
    }
    transaction.commit().await?;
    Ok(applied)
}

/// Migrates under sqlx's lock, taken here so that only the migrations of this run are counted.
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

/// The state of the tables found in a database, compared with those this version expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schema {
    /// There are no tables: [`migrate`] was never run here.
    Missing,
    /// The tables are of an older version: [`migrate`] updates them.
    Outdated,
    /// The tables are those this version expects.
    Current,
    /// The tables are of a newer version.
    Newer,
}

impl Schema {
    /// Reads the migrations table. Changes nothing.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Schema};
    /// # async fn example(connection: &mut Connection<'_>) -> Result<(), Error> {
    /// if Schema::of(&mut *connection).await? != Schema::Current {
    ///     // Run `guestlist::migrate` before the application starts.
    /// }
    /// # Ok(())
    /// # }
    /// ```
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

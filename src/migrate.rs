//! The schema, brought up to date.

use std::borrow::Cow;

use sqlx::migrate::Migrator;

use crate::database::Database;
use crate::error::Error;

/// Where it is recorded which migrations ran: a table of our own, so the host's are left alone.
const TABLE: &str = "guestlist_migrations";

#[cfg(feature = "postgres")]
static POSTGRES: Migrator = Migrator {
    table_name: Cow::Borrowed(TABLE),
    ..sqlx::migrate!("migrations/postgres")
};
#[cfg(feature = "sqlite")]
static SQLITE: Migrator = Migrator {
    table_name: Cow::Borrowed(TABLE),
    ..sqlx::migrate!("migrations/sqlite")
};

/// Creates or updates Guestlist's tables, all named `guestlist_…`, beside whatever the host has.
///
/// Takes `&PgPool`, `&SqlitePool` or `&Database`. Safe to call at every start and from several
/// processes at once.
///
/// # Errors
/// [`Error::Migrate`] when the schema is newer than this version or was changed by hand.
pub async fn migrate(database: impl Into<Database>) -> Result<(), Error> {
    match database.into() {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => POSTGRES.run(&pool).await?,
        #[cfg(feature = "sqlite")]
        Database::Sqlite(pool) => SQLITE.run(&pool).await?,
    }
    Ok(())
}

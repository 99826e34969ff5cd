//! The configured database: validated, redacted and opened.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use guestlist::{Database, Schema};
use sqlx::sqlite::SqliteConnectOptions;
use url::Url;

/// The reason why a text is not a database URL. The text may contain a password and is not
/// repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDatabaseUrl {
    /// Neither Postgres nor SQLite.
    #[error("the URL starts with neither sqlite: nor postgres:")]
    Scheme,
    /// An SQLite database in memory, which is lost when the process ends.
    #[error("an SQLite database in memory would be lost when the command ends")]
    Memory,
    /// The rest of the URL is not valid.
    #[error("the URL is not valid: {0}")]
    Form(String),
}

/// The reason why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The database cannot be reached, or refuses the login.
    #[error("cannot open {database}: {problem}")]
    Unreachable {
        /// The database, without its password.
        database: String,
        /// The error.
        problem: String,
    },
    /// The database was never migrated, or by an older version.
    #[error("{database} {state}: run `guestlist migrate`")]
    NotMigrated {
        /// The database, without its password.
        database: String,
        /// The state of its schema.
        state: &'static str,
    },
    /// The database was migrated by a newer version.
    #[error("{database} was migrated by a newer guestlist: run that version")]
    Newer {
        /// The database, without its password.
        database: String,
    },
}

/// The time to wait for a database that does not answer at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The delay before an SQLite file that another process is opening is tried again.
const TURN: Duration = Duration::from_millis(20);

/// Checks that a database can be opened with this URL.
pub(super) fn check(url: &str) -> Result<String, InvalidDatabaseUrl> {
    match url.split(':').next() {
        Some("sqlite") => {
            let place = url.trim_start_matches("sqlite:").trim_start_matches("//");
            if place.is_empty() || place.starts_with(":memory:") || place.contains("mode=memory") {
                return Err(InvalidDatabaseUrl::Memory);
            }
        }
        Some("postgres" | "postgresql") => {}
        _ => return Err(InvalidDatabaseUrl::Scheme),
    }
    Database::check_url(url).map_err(|error| InvalidDatabaseUrl::Form(root_cause(&error)))?;
    Ok(url.to_owned())
}

/// Returns the file of an SQLite database.
pub(super) fn sqlite_file(url: &str) -> Option<PathBuf> {
    let options = url
        .starts_with("sqlite:")
        .then(|| SqliteConnectOptions::from_str(url).ok())??;
    Some(options.get_filename().to_owned())
}

/// Formats a URL for display: without password and parameters.
pub(crate) fn redacted(url: &str) -> String {
    if url.starts_with("sqlite:") || url.starts_with("file:") {
        return url.to_owned();
    }
    let Ok(mut parsed) = Url::parse(url) else {
        return "(an invalid URL)".to_owned();
    };
    if parsed.password().is_some() && parsed.set_password(Some("***")).is_err() {
        return "(a URL with a password)".to_owned();
    }
    parsed.set_query(None);
    parsed.set_fragment(None);
    parsed.into()
}

/// Opens the database without checking its schema.
pub(super) async fn connect(url: &str, connections: u32) -> Result<Database, DatabaseError> {
    let unreachable = |problem| DatabaseError::Unreachable {
        database: redacted(url),
        problem,
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, connect_in_turn(url, connections)).await {
        Ok(connected) => connected.map_err(|error| unreachable(problem(&error))),
        Err(_) => Err(unreachable(format!(
            "no answer within {} seconds",
            CONNECT_TIMEOUT.as_secs()
        ))),
    }
}

/// Retries while another process opens the same new SQLite file: switching on the write-ahead log
/// fails at once with "locked", whatever the busy timeout.
async fn connect_in_turn(url: &str, connections: u32) -> Result<Database, guestlist::Error> {
    loop {
        match Database::connect(url, connections).await {
            Err(guestlist::Error::Conflict(_)) => tokio::time::sleep(TURN).await,
            connected => return connected,
        }
    }
}

/// Opens the database and checks that its schema is the one of this version. An SQLite file is
/// migrated, because nobody else does it.
pub(super) async fn open(url: &str, connections: u32) -> Result<Database, DatabaseError> {
    let database = connect(url, connections).await?;
    let name = || redacted(url);
    let unreachable = |error: guestlist::Error| DatabaseError::Unreachable {
        database: name(),
        problem: problem(&error),
    };
    match schema(&database).await.map_err(unreachable)? {
        Schema::Newer => Err(DatabaseError::Newer { database: name() }),
        Schema::Missing | Schema::Outdated if matches!(database, Database::Sqlite(_)) => {
            guestlist::migrate(&database).await.map_err(unreachable)?;
            Ok(database)
        }
        Schema::Missing => Err(DatabaseError::NotMigrated {
            database: name(),
            state: "has no guestlist tables",
        }),
        Schema::Outdated => Err(DatabaseError::NotMigrated {
            database: name(),
            state: "has the tables of an older guestlist",
        }),
        _ => Ok(database),
    }
}

async fn schema(database: &Database) -> Result<Schema, guestlist::Error> {
    Schema::of(&mut database.acquire().await?).await
}

/// Returns the cause of an error, and what to do about a pooler.
fn problem(error: &guestlist::Error) -> String {
    match error {
        guestlist::Error::Pooler(_) => error.to_string(),
        error => root_cause(error),
    }
}

/// Returns the innermost cause in one line, without the text of the layers around it.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            (
                "postgres://me:hunter2@db.example/app",
                "postgres://me:***@db.example/app",
            ),
            (
                "postgres://me@db.example/app?password=hunter2",
                "postgres://me@db.example/app",
            ),
            (
                "redis://:hunter2@localhost:6379/1",
                "redis://:***@localhost:6379/1",
            ),
            ("sqlite:guestlist.db", "sqlite:guestlist.db"),
            ("hunter2", "(an invalid URL)"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn only_databases_that_last_are_accepted() {
        for url in [
            "sqlite:a.db",
            "sqlite://a/b.db?mode=rwc",
            "postgres://a/b",
            "postgresql://u:p@a:1/b",
        ] {
            assert_eq!(check(url).as_deref(), Ok(url));
        }
        for url in [
            "",
            "mysql://a/b",
            "sqlite:",
            "sqlite::memory:",
            "sqlite://:memory:",
            "postgres://a:x/b",
        ] {
            assert!(check(url).is_err(), "{url:?} was accepted");
        }
    }

    #[test]
    fn the_file_of_an_sqlite_database_is_found_in_every_spelling() {
        for (url, file) in [
            ("sqlite:a.db", "a.db"),
            ("sqlite://a/b.db?mode=rwc", "a/b.db"),
            ("sqlite:///var/a%20b.db", "/var/a b.db"),
        ] {
            assert_eq!(sqlite_file(url), Some(PathBuf::from(file)));
        }
        assert_eq!(sqlite_file("postgres://a/b"), None);
    }
}

//! The rights on tables that a worker needs.

#[cfg(feature = "postgres")]
use std::fmt::Write;

use crate::connection::{Dialect, Lend};
#[cfg(feature = "postgres")]
use crate::connection::{Statement, rare};
use crate::error::Error;

/// A right on a table of Guestlist, by its name in a GRANT. Displayed as `INSERT ON guestlist_events`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
#[non_exhaustive]
pub struct Right {
    /// `SELECT`, `INSERT`, `UPDATE` or `DELETE`.
    pub privilege: String,
    /// The table.
    pub table: String,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ON {}", self.privilege, self.table)
    }
}

/// The rights that the statements of a worker need, by table.
#[cfg(feature = "postgres")]
const NEEDED: [(&str, &[&str]); 12] = [
    ("guestlist_attempts", &["SELECT", "INSERT", "DELETE"]),
    ("guestlist_events", &["SELECT", "INSERT", "DELETE"]),
    ("guestlist_installation", &["SELECT"]),
    ("guestlist_invitations", &["SELECT", "UPDATE", "DELETE"]),
    ("guestlist_letters", &["SELECT", "DELETE"]),
    (
        "guestlist_mail_pause",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
    ("guestlist_memberships", &["SELECT"]),
    ("guestlist_migrations", &["SELECT"]),
    ("guestlist_organizations", &["SELECT"]),
    (
        "guestlist_outbox",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
    ("guestlist_sessions", &["SELECT", "UPDATE", "DELETE"]),
    (
        "guestlist_suppressions",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
];

/// Returns the rights that a worker needs and the role of this connection does not have. On SQLite
/// there are none to have.
///
/// ```
/// # use guestlist::{Connection, Error, worker};
/// # async fn example(connection: &mut Connection<'_>) -> Result<(), Error> {
/// for right in worker::missing_rights(&mut *connection).await? {
///     println!("GRANT {right} TO ...");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`], also if a table does not exist.
pub async fn missing_rights(connection: impl Lend<'_>) -> Result<Vec<Right>, Error> {
    let connection = &mut connection.lend();
    match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => Ok(connection.fetch_all(missing()).await?),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => Ok(Vec::new()),
    }
}

#[cfg(feature = "postgres")]
fn missing() -> Statement<'static> {
    let mut rows = String::new();
    for (table, privileges) in NEEDED {
        for privilege in privileges {
            let comma = if rows.is_empty() { "" } else { ", " };
            write!(rows, "{comma}('{table}', '{privilege}')").expect("a string can be written to");
        }
    }
    rare(format!(
        "SELECT needed.\"table\", needed.privilege FROM (VALUES {rows}) AS needed (\"table\", privilege)
         WHERE NOT has_table_privilege(needed.\"table\", needed.privilege)"
    ))
}

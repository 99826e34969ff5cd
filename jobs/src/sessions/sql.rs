//! Sessions in a table of the host's database.

use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::{Database, SessionKey};
use sqlx::AssertSqlSafe;

use super::{SessionStore, StoreError};

/// Sessions as rows of a table, found by a text column such as `tower_sessions.id`.
pub struct SqlSessions {
    database: Database,
    statement: String,
}

/// The text is not the name of a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sessions in SQL are named TABLE.COLUMN or SCHEMA.TABLE.COLUMN, of letters, digits and _")]
pub struct InvalidColumn;

impl SqlSessions {
    /// Sessions in `column`, written `table.column` or `schema.table.column`.
    ///
    /// # Errors
    /// [`InvalidColumn`].
    pub fn new(database: Database, column: &str) -> Result<Self, InvalidColumn> {
        let parts: Vec<&str> = column.split('.').collect();
        let [tables @ .., column] = parts.as_slice() else {
            return Err(InvalidColumn);
        };
        let is_named =
            (1..=2).contains(&tables.len()) && parts.iter().all(|part| is_identifier(part));
        if !is_named {
            return Err(InvalidColumn);
        }
        let table: Vec<String> = tables.iter().map(|part| format!("\"{part}\"")).collect();
        let statement = format!("DELETE FROM {} WHERE \"{column}\" = $1", table.join("."));
        Ok(Self {
            database,
            statement,
        })
    }
}

/// Only what needs no escaping, so a name can be nothing but a name.
fn is_identifier(part: &str) -> bool {
    let mut bytes = part.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && part.len() <= 63
}

impl SessionStore for SqlSessions {
    fn name(&self) -> &str {
        "the sessions' table"
    }

    fn delete<'a>(&'a self, sessions: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            for session in sessions {
                let statement = AssertSqlSafe(self.statement.clone());
                let result = match &self.database {
                    Database::Postgres(pool) => sqlx::query(statement)
                        .bind(session.as_str())
                        .execute(pool)
                        .await
                        .map(drop),
                    Database::Sqlite(pool) => sqlx::query(statement)
                        .bind(session.as_str())
                        .execute(pool)
                        .await
                        .map(drop),
                };
                result.map_err(|error| StoreError(error.into()))?;
            }
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_columns() {
        for part in ["id", "_x1", "Sessions"] {
            assert!(is_identifier(part), "{part}");
        }
        for part in ["", "1a", "a b", "a\"b", "a;b", "ü"] {
            assert!(!is_identifier(part), "{part}");
        }
    }
}

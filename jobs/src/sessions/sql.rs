//! Sessions in a table of the host's database.

use std::str::FromStr;

use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::{Database, SessionKey};
use sqlx::AssertSqlSafe;

use super::{SessionStore, StoreError};

/// A text column, written `table.column` or `schema.table.column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    table: String,
    column: String,
}

/// The text is not the name of a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not TABLE.COLUMN in letters, digits and _")]
pub struct InvalidColumn(String);

impl FromStr for Column {
    type Err = InvalidColumn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('.').collect();
        let table = match parts.as_slice() {
            _ if !parts.iter().all(|part| is_identifier(part)) => None,
            [table, _] => Some(format!("\"{table}\"")),
            [schema, table, _] => Some(format!("\"{schema}\".\"{table}\"")),
            _ => None,
        };
        match (table, parts.last()) {
            (Some(table), Some(column)) => Ok(Self {
                table,
                column: format!("\"{column}\""),
            }),
            _ => Err(InvalidColumn(text.to_owned())),
        }
    }
}

/// Sessions as rows of a table, found by a column such as `tower_sessions.id`.
pub struct SqlSessions {
    database: Database,
    statement: String,
}

impl SqlSessions {
    /// Sessions whose keys stand in `column`.
    pub fn new(database: Database, column: &Column) -> Self {
        let Column { table, column } = column;
        let statement = format!("DELETE FROM {table} WHERE {column} = $1");
        Self {
            database,
            statement,
        }
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
        for text in ["sessions.id", "auth.Sessions._x1"] {
            assert!(text.parse::<Column>().is_ok(), "{text}");
        }
        for text in [
            "",
            "id",
            "a.b.c.d",
            "a b.c",
            "t.id; DROP TABLE x",
            "t.\"id\"",
            "1a.id",
            "t.ü",
            "t.",
        ] {
            assert!(text.parse::<Column>().is_err(), "{text:?}");
        }
    }
}

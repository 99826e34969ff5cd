//! Session store in a table of the host's database.

use std::str::FromStr;

use futures::FutureExt;
use futures::future::BoxFuture;
use guestlist::{Database, SessionKey};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{SessionStore, StoreError};

/// A column, written `table.column` or `schema.table.column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    table: String,
    column: String,
}

/// The error of a text that is not the name of a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not TABLE.COLUMN made of letters, digits, _ and -")]
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

/// Sessions as rows of a table, found by a column such as `tower_sessions.id` of any type: text, a
/// number, a UUID or bytes.
pub struct SqlSessions {
    database: Database,
    column: Column,
}

impl SqlSessions {
    /// Creates a store of sessions whose keys are in `column`.
    pub fn new(database: Database, column: &Column) -> Self {
        Self {
            database,
            column: column.clone(),
        }
    }

    async fn delete_all(&self, sessions: &[SessionKey]) -> Result<(), sqlx::Error> {
        let keys: Vec<&str> = sessions.iter().map(SessionKey::as_str).collect();
        match &self.database {
            Database::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                match self.column.delete(&mut connection, &keys, true).await {
                    Err(error) if is_no_such_value(&error) => {
                        let statement = self.column.by_text();
                        execute(&mut connection, statement, &keys, true).await
                    }
                    done => done,
                }
            }
            // Without names and inside a transaction: the pooler may otherwise execute a statement on
            // another server than the one that prepared it.
            Database::PostgresPooler(pool) => {
                let mut transaction = pool.begin().await?;
                match self.column.delete(&mut transaction, &keys, false).await {
                    Err(error) if is_no_such_value(&error) => {
                        transaction.rollback().await?;
                        transaction = pool.begin().await?;
                        let statement = self.column.by_text();
                        execute(&mut transaction, statement, &keys, false).await?;
                    }
                    done => done?,
                }
                transaction.commit().await
            }
            Database::Sqlite(pool) => {
                sqlx::query(AssertSqlSafe(self.column.by_any()))
                    .bind(Json(keys))
                    .execute(pool)
                    .await?;
                Ok(())
            }
            _ => Err(sqlx::Error::Configuration(
                "sessions are deleted in Postgres and SQLite only".into(),
            )),
        }
    }
}

impl Column {
    /// Deletes the rows with these keys, of which each must be a value of the column's type.
    async fn delete(
        &self,
        connection: &mut PgConnection,
        keys: &[&str],
        is_named: bool,
    ) -> Result<(), sqlx::Error> {
        // The type below all domains, whose checks are of no concern here.
        const TYPE: &str = "WITH RECURSIVE type AS (
                 SELECT type.oid, type.typtype, type.typbasetype
                 FROM pg_attribute JOIN pg_type AS type ON type.oid = pg_attribute.atttypid
                 WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped
                 UNION ALL
                 SELECT base.oid, base.typtype, base.typbasetype
                 FROM type JOIN pg_type AS base ON base.oid = type.typbasetype
                 WHERE type.typtype = 'd')
             SELECT format_type(oid, -1) FROM type WHERE typtype <> 'd'";
        let found = sqlx::query_scalar(TYPE)
            .persistent(is_named)
            .bind(&self.table)
            .bind(self.column.trim_matches('"'))
            .fetch_optional(&mut *connection)
            .await?;
        // A table that does not exist has no type; the statement then says what is missing.
        let statement = found.map_or_else(|| self.by_text(), |of: String| self.by_value(&of));
        execute(connection, statement, keys, is_named).await
    }

    /// Returns the statement for keys of the column's type. Postgres parses each key as a value of
    /// that type, so that an index on the column is used.
    fn by_value(&self, of: &str) -> String {
        let Self { table, column } = self;
        format!("DELETE FROM {table} WHERE {column} = ANY($1::text[]::{of}[])")
    }

    /// Returns the statement for keys of which some are not of the column's type: slower, because
    /// it reads every row.
    fn by_text(&self) -> String {
        let Self { table, column } = self;
        format!("DELETE FROM {table} WHERE {column}::text = ANY($1)")
    }

    /// Returns the statement for SQLite, which compares by the column's affinity: text is read as a
    /// number, but not as bytes. A key may be stored as its own bytes, or as the bytes of the UUID
    /// it spells.
    fn by_any(&self) -> String {
        let Self { table, column } = self;
        format!(
            "WITH keys (key) AS MATERIALIZED (SELECT value FROM json_each($1))
             DELETE FROM {table} WHERE {column} IN (
                 SELECT key FROM keys
                 UNION ALL SELECT CAST(key AS blob) FROM keys
                 UNION ALL SELECT unhex(replace(key, '-', '')) FROM keys
                     WHERE length(replace(key, '-', '')) = 32)"
        )
    }
}

async fn execute(
    connection: &mut PgConnection,
    statement: String,
    keys: &[&str],
    is_named: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement))
        .persistent(is_named)
        .bind(keys)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns whether the error says that a key is not of the column's type: class 22, data exception.
fn is_no_such_value(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    database.is_some_and(|error| error.code().is_some_and(|code| code.starts_with("22")))
}

/// Accepts only names that are quoted without escaping.
fn is_identifier(part: &str) -> bool {
    let mut bytes = part.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && part.len() <= 63
}

impl SessionStore for SqlSessions {
    fn name(&self) -> &str {
        "the table of sessions"
    }

    fn delete<'a>(&'a self, sessions: &'a [SessionKey]) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            if sessions.is_empty() {
                return Ok(());
            }
            self.delete_all(sessions).await.map_err(StoreError::new)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_columns() {
        for text in [
            "sessions.id",
            "auth.Sessions._x1",
            "web-auth.user-sessions.session-id",
        ] {
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

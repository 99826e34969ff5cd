//! A connection of the host's, to Postgres or SQLite.
//!
//! A statement is written once, with `$1` placeholders, which both drivers read. Where the dialects
//! differ, the caller asks [`Connection::dialect`]. Only this module and `database.rs` know that
//! there are two databases.

mod insert;
#[cfg(feature = "postgres")]
pub(crate) mod pooler;

use std::borrow::Cow;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection as _};
use uuid::Uuid;

pub(crate) use self::insert::Insert;
use crate::error::Error;

/// A connection, or an open transaction, lent by the host.
///
/// Made by [`Lend`] from `&mut PgConnection` or `&mut SqliteConnection`, so a host passes `&mut *tx`.
/// Guestlist runs statements on it and never begins, commits or rolls back.
///
/// On SQLite begin a transaction with `pool.begin_with("BEGIN IMMEDIATE")`. A deferred transaction,
/// as `pool.begin()` begins it, fails at once with "database is locked" if it reads first and
/// another connection writes in between. Foreign keys must be on, as they are by default in sqlx.
#[derive(Debug)]
#[non_exhaustive]
pub enum Connection<'c> {
    /// A Postgres connection.
    #[cfg(feature = "postgres")]
    Postgres(&'c mut sqlx::PgConnection),
    /// A connection to a pooler of Postgres that hands out its server connections by transaction, such as
    /// PgBouncer with `pool_mode = transaction`. Statements have no name, and each runs inside a
    /// transaction: one of its own if none is open.
    ///
    /// A [`Database`](crate::Database) whose URL has `pgbouncer=true` lends these. A host with a pool
    /// of its own lends `Connection::PostgresPooler(&mut *tx)`, also for an operation that only reads.
    #[cfg(feature = "postgres")]
    PostgresPooler(&'c mut sqlx::PgConnection),
    /// An SQLite connection.
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut sqlx::SqliteConnection),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

/// Lends a connection to one operation: `&mut *tx` of an open sqlx transaction, or `&mut *connection`
/// for an operation that only reads.
///
/// Implemented for the connections of sqlx 0.9 on Postgres and SQLite, and for the transactions and
/// connections of a [`Database`](crate::Database).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be lent to Guestlist",
    label = "not a connection of sqlx 0.9",
    note = "lend `&mut *tx`, from sqlx 0.9, or `&mut *connection` for an operation that only reads; a pool, `&mut tx` and the types of another sqlx version are refused"
)]
pub trait Lend<'c> {
    /// Returns the connection to run statements on.
    fn lend(self) -> Connection<'c>;
}

#[cfg(feature = "postgres")]
impl<'c> Lend<'c> for &'c mut sqlx::PgConnection {
    fn lend(self) -> Connection<'c> {
        Connection::Postgres(self)
    }
}

#[cfg(feature = "sqlite")]
impl<'c> Lend<'c> for &'c mut sqlx::SqliteConnection {
    fn lend(self) -> Connection<'c> {
        Connection::Sqlite(self)
    }
}

impl<'c> Lend<'c> for Connection<'c> {
    fn lend(self) -> Self {
        self
    }
}

impl<'c> Lend<'c> for &'c mut Connection<'_> {
    fn lend(self) -> Connection<'c> {
        match self {
            #[cfg(feature = "postgres")]
            Connection::Postgres(connection) => Connection::Postgres(connection),
            #[cfg(feature = "postgres")]
            Connection::PostgresPooler(connection) => Connection::PostgresPooler(connection),
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(connection) => Connection::Sqlite(connection),
        }
    }
}

/// Runs `$body` with `$connection` bound to the driver's own connection.
macro_rules! on_driver {
    ($self:ident, $connection:ident => $body:expr) => {
        match $self {
            #[cfg(feature = "postgres")]
            Connection::Postgres($connection) | Connection::PostgresPooler($connection) => $body,
            #[cfg(feature = "sqlite")]
            Connection::Sqlite($connection) => $body,
        }
    };
}

/// Builds the driver's query of a statement, with every value bound. A text with a placeholder for
/// each value of a list is not kept as a prepared statement, because the next list may have another
/// length.
macro_rules! query {
    ($of:path, $statement:ident) => {
        $statement.values.into_iter().fold(
            match $statement.sql {
                Cow::Borrowed(sql) => $of(sql),
                Cow::Owned(sql) => $of(AssertSqlSafe(sql)),
            }
            .persistent($statement.is_kept),
            |query, value| match value {
                Value::Uuid(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::Int(value) => query.bind(value),
                Value::Time(value) => query.bind(value),
                Value::Json(value) => query.bind(value),
            },
        )
    };
}

impl Connection<'_> {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) | Self::PostgresPooler(_) => Dialect::Postgres,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Refuses a connection without an open transaction, where each statement would commit alone.
    pub(crate) fn require_transaction(&self) -> Result<(), Error> {
        let open = on_driver!(self, connection => connection.is_in_transaction());
        if open {
            Ok(())
        } else {
            Err(Error::NoTransaction)
        }
    }

    /// Runs a statement and returns the number of affected rows.
    pub(crate) async fn execute(&mut self, statement: Statement<'_>) -> sqlx::Result<u64> {
        #[cfg(feature = "postgres")]
        if let Self::PostgresPooler(connection) = self {
            let statement = statement.unnamed();
            return pooler::in_transaction(connection, async |connection| {
                let query = query!(sqlx::query, statement);
                Ok(query.execute(connection).await?.rows_affected())
            })
            .await;
        }
        on_driver!(self, connection => {
            let query = query!(sqlx::query, statement);
            Ok(query.execute(&mut **connection).await?.rows_affected())
        })
    }

    pub(crate) async fn fetch_all<T: Record>(
        &mut self,
        statement: Statement<'_>,
    ) -> sqlx::Result<Vec<T>> {
        #[cfg(feature = "postgres")]
        if let Self::PostgresPooler(connection) = self {
            let statement = statement.unnamed();
            return pooler::in_transaction(connection, async |connection| {
                let query = query!(sqlx::query_as::<_, T>, statement);
                query.fetch_all(connection).await
            })
            .await;
        }
        on_driver!(self, connection => {
            let query = query!(sqlx::query_as::<_, T>, statement);
            query.fetch_all(&mut **connection).await
        })
    }

    pub(crate) async fn fetch_optional<T: Record>(
        &mut self,
        statement: Statement<'_>,
    ) -> sqlx::Result<Option<T>> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// Reads a single number; the statement must always return one row.
    pub(crate) async fn fetch_count(&mut self, statement: Statement<'_>) -> sqlx::Result<i64> {
        let row: Option<(i64,)> = self.fetch_optional(statement).await?;
        row.map(|(count,)| count).ok_or(sqlx::Error::RowNotFound)
    }
}

/// A statement and the values for its placeholders.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    sql: Cow<'static, str>,
    values: Vec<Value<'a>>,
    is_kept: bool,
}

pub(crate) fn sql(sql: &'static str) -> Statement<'static> {
    Statement {
        sql: Cow::Borrowed(sql),
        values: Vec::new(),
        is_kept: true,
    }
}

/// Makes a statement that runs seldom and is not kept as a prepared one.
#[cfg(feature = "postgres")]
pub(crate) fn rare(sql: String) -> Statement<'static> {
    Statement {
        sql: sql.into(),
        values: Vec::new(),
        is_kept: false,
    }
}

/// Appends `count` placeholders that follow `bound` others.
fn placeholders(sql: &mut String, bound: usize, count: usize) {
    for number in bound + 1..=bound + count {
        let comma = if number > bound + 1 { ", " } else { "" };
        write!(sql, "{comma}${number}").expect("a string can be written to");
    }
}

impl<'a> Statement<'a> {
    pub(crate) fn bind<'b>(self, value: impl Into<Value<'b>>) -> Statement<'b>
    where
        'a: 'b,
    {
        let mut values: Vec<Value<'b>> = self.values;
        values.push(value.into());
        Statement { values, ..self }
    }

    /// Binds a list, which must not be empty, in place of `{}` in the text.
    pub(crate) fn bind_list<'b, T: Into<Value<'b>>>(
        self,
        list: impl IntoIterator<Item = T>,
    ) -> Statement<'b>
    where
        'a: 'b,
    {
        let mut values: Vec<Value<'b>> = self.values;
        let bound = values.len();
        values.extend(list.into_iter().map(Into::into));
        let mut marks = String::new();
        placeholders(&mut marks, bound, values.len() - bound);
        Statement {
            sql: Cow::Owned(self.sql.replacen("{}", &marks, 1)),
            is_kept: self.is_kept && values.len() == bound + 1,
            values,
        }
    }

    #[cfg(feature = "postgres")]
    fn unnamed(self) -> Self {
        Self {
            is_kept: false,
            ..self
        }
    }

    /// Writes `number` in place of `mark`.
    pub(crate) fn replace(self, mark: &str, number: i64) -> Self {
        Self {
            sql: Cow::Owned(self.sql.replacen(mark, &number.to_string(), 1)),
            ..self
        }
    }

    /// Appends a `SELECT` of the same columns and renumbers its placeholders, which begin at `$1`.
    pub(crate) fn union(self, other: Self) -> Self {
        let (mut sql, mut values) = (self.sql.into_owned(), self.values);
        sql.push_str(" UNION ALL ");
        let mut parts = other.sql.split('$');
        sql.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let end = part.find(|mark: char| !mark.is_ascii_digit());
            let (number, text) = part.split_at(end.unwrap_or(part.len()));
            let number: usize = number.parse().expect("a placeholder has a number");
            write!(sql, "${}{text}", values.len() + number).expect("a string can be written to");
        }
        values.extend(other.values);
        Self {
            sql: Cow::Owned(sql),
            values,
            is_kept: self.is_kept && other.is_kept,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Value<'a> {
    Uuid(Option<Uuid>),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<&'a [u8]>),
    Int(Option<i64>),
    Time(Option<DateTime<Utc>>),
    Json(Option<Json>),
}

macro_rules! value_from {
    ($($type:ty => $variant:ident($value:ident) $made:expr;)+) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self {
                Self::$variant($made)
            }
        })+
    };
}

value_from! {
    Uuid => Uuid(uuid) Some(uuid);
    Option<Uuid> => Uuid(uuid) uuid;
    &'a str => Text(text) Some(text.into());
    Option<&'a str> => Text(text) text.map(Cow::from);
    String => Text(text) Some(text.into());
    Option<String> => Text(text) text.map(Cow::from);
    &'a String => Text(text) Some(text.as_str().into());
    &'a [u8] => Bytes(bytes) Some(bytes);
    Option<&'a [u8]> => Bytes(bytes) bytes;
    i64 => Int(number) Some(number);
    Option<i64> => Int(number) number;
    DateTime<Utc> => Time(time) Some(time);
    Option<DateTime<Utc>> => Time(time) time;
    Json => Json(json) Some(json);
    Option<Json> => Json(json) json;
}

/// A row that both drivers can read. Implemented for every `#[derive(FromRow)]`.
pub(crate) trait Record: PgRecord + SqliteRecord + Send + Unpin {}
impl<T: PgRecord + SqliteRecord + Send + Unpin> Record for T {}

#[cfg(feature = "postgres")]
pub(crate) trait PgRecord: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> {}
#[cfg(feature = "postgres")]
impl<T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>> PgRecord for T {}
#[cfg(not(feature = "postgres"))]
pub(crate) trait PgRecord {}
#[cfg(not(feature = "postgres"))]
impl<T> PgRecord for T {}

#[cfg(feature = "sqlite")]
pub(crate) trait SqliteRecord: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> {}
#[cfg(feature = "sqlite")]
impl<T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>> SqliteRecord for T {}
#[cfg(not(feature = "sqlite"))]
pub(crate) trait SqliteRecord {}
#[cfg(not(feature = "sqlite"))]
impl<T> SqliteRecord for T {}

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
compile_error!("guestlist needs the feature `postgres`, the feature `sqlite`, or both");

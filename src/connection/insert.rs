//! Inserts of many rows, into one table or several.

use super::{Connection, Value};

/// Rows for one table.
#[derive(Debug)]
pub(crate) struct Insert<'a> {
    into: &'static str,
    width: usize,
    /// The clause for a row that exists, or nothing.
    on_conflict: &'static str,
    /// The values of all rows, row after row.
    values: Vec<Value<'a>>,
}

impl<'a> Insert<'a> {
    /// Makes the rows for the table and columns that `into` names.
    pub(crate) fn new<const N: usize>(
        into: &'static str,
        rows: impl IntoIterator<Item = [Value<'a>; N]>,
    ) -> Self {
        Self {
            into,
            width: N,
            on_conflict: "",
            values: rows.into_iter().flatten().collect(),
        }
    }

    /// Skips rows that exist already.
    pub(crate) fn skip_existing(self) -> Self {
        Self {
            on_conflict: " ON CONFLICT DO NOTHING",
            ..self
        }
    }

    #[cfg(feature = "postgres")]
    fn is_one_row(&self) -> bool {
        self.values.len() == self.width
    }
}

impl Connection<'_> {
    /// Inserts the rows of all tables; one statement on Postgres.
    pub(crate) async fn insert(&mut self, mut inserts: Vec<Insert<'_>>) -> sqlx::Result<()> {
        inserts.retain(|insert| !insert.values.is_empty());
        if inserts.is_empty() {
            return Ok(());
        }
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) | Self::PostgresPooler(_) => postgres::insert(self, inserts).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::insert(self, inserts).await,
        }
    }
}

/// Inserts by one statement. Beyond one row per table each column is bound as an array, so the text
/// is the same for any number of rows and stays prepared. A single row has a text of its own,
/// without arrays.
#[cfg(feature = "postgres")]
mod postgres {
    use std::fmt::{self, Write};

    use super::super::{Statement, pooler};
    use super::{Connection, Insert, Value};

    pub(super) async fn insert(
        connection: &mut Connection<'_>,
        inserts: Vec<Insert<'_>>,
    ) -> sqlx::Result<()> {
        let is_one_of_each = inserts.iter().all(Insert::is_one_row);
        let (from, many) = match is_one_of_each {
            true => ("VALUES", ""),
            false => ("SELECT * FROM unnest", "[]"),
        };
        let text = text(&inserts, from, many).expect("a string can be written to");
        if is_one_of_each {
            let statement = Statement {
                sql: text.into(),
                values: Vec::from_iter(inserts.into_iter().flat_map(|insert| insert.values)),
                is_kept: true,
            };
            connection.execute(statement).await?;
            return Ok(());
        }
        let columns = inserts.into_iter().flat_map(columns);
        let query = columns.fold(sqlx::query(sqlx::AssertSqlSafe(text)), bind);
        match connection {
            Connection::PostgresPooler(connection) => {
                let query = query.persistent(false);
                let run =
                    async |connection: &mut sqlx::PgConnection| query.execute(connection).await;
                pooler::in_transaction(connection, run).await?;
            }
            Connection::Postgres(connection) => {
                query.execute(&mut **connection).await?;
            }
            #[cfg(feature = "sqlite")]
            Connection::Sqlite(_) => unreachable!("SQLite has inserts of its own"),
        }
        Ok(())
    }

    /// Builds the statement. Its rows come `from` placeholders with the types of the values,
    /// followed by `many` (`[]` for arrays).
    fn text(inserts: &[Insert<'_>], from: &str, many: &str) -> Result<String, fmt::Error> {
        let (mut text, mut bound) = (String::new(), 0);
        for (place, insert) in inserts.iter().enumerate() {
            let begin = if place == 0 { "WITH" } else { "," };
            let into = insert.into;
            write!(text, "{begin} part_{place} AS (INSERT INTO {into} {from}")?;
            for (place, value) in insert.values[..insert.width].iter().enumerate() {
                let begin = if place == 0 { "(" } else { ", " };
                bound += 1;
                write!(text, "{begin}${bound}::{}{many}", type_of(value))?;
            }
            write!(text, "){})", insert.on_conflict)?;
        }
        text.push_str(" SELECT");
        Ok(text)
    }

    fn type_of(value: &Value<'_>) -> &'static str {
        match value {
            Value::Uuid(_) => "uuid",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytea",
            Value::Int(_) => "bigint",
            Value::Time(_) => "timestamptz",
            Value::Json(_) => "jsonb",
        }
    }

    fn columns<'a>(insert: Insert<'a>) -> Vec<Vec<Value<'a>>> {
        let mut columns = Vec::from_iter((0..insert.width).map(|_| Vec::new()));
        for (place, value) in insert.values.into_iter().enumerate() {
            columns[place % insert.width].push(value);
        }
        columns
    }

    type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

    fn bind(query: Query, column: Vec<Value<'_>>) -> Query {
        macro_rules! array {
            ($variant:ident) => {{
                let value = |value| match value {
                    Value::$variant(value) => value,
                    other => unreachable!("a column has one type: {other:?}"),
                };
                query.bind(Vec::from_iter(column.into_iter().map(value)))
            }};
        }
        match column[0] {
            Value::Uuid(_) => array!(Uuid),
            Value::Text(_) => array!(Text),
            Value::Bytes(_) => array!(Bytes),
            Value::Int(_) => array!(Int),
            Value::Time(_) => array!(Time),
            Value::Json(_) => array!(Json),
        }
    }
}

/// Inserts by one statement per table, or by several if there are more values than a statement can
/// bind.
#[cfg(feature = "sqlite")]
mod sqlite {
    use super::super::{Statement, placeholders};
    use super::{Connection, Insert, Value};

    /// SQLite binds at most 32,766 values in one statement.
    const MAX_VALUES: usize = 32_000;

    pub(super) async fn insert(
        connection: &mut Connection<'_>,
        inserts: Vec<Insert<'_>>,
    ) -> sqlx::Result<()> {
        for mut insert in inserts {
            let most = MAX_VALUES / insert.width * insert.width;
            while !insert.values.is_empty() {
                let rest = insert.values.split_off(most.min(insert.values.len()));
                let values = std::mem::replace(&mut insert.values, rest);
                connection.execute(statement(&insert, values)).await?;
            }
        }
        Ok(())
    }

    fn statement<'a>(insert: &Insert<'_>, values: Vec<Value<'a>>) -> Statement<'a> {
        let width = insert.width;
        let mut sql = format!("INSERT INTO {} VALUES ", insert.into);
        for bound in (0..values.len()).step_by(width) {
            sql.push_str(if bound == 0 { "(" } else { ", (" });
            placeholders(&mut sql, bound, width);
            sql.push(')');
        }
        sql.push_str(insert.on_conflict);
        Statement {
            sql: sql.into(),
            is_kept: values.len() == width,
            values,
        }
    }
}

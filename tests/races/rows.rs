//! Every row of the library's tables, as JSON.

use std::collections::BTreeMap;

use guestlist::Database;
use serde_json::Value as Json;
use sqlx::AssertSqlSafe;

/// The rows of each table.
pub type Rows = BTreeMap<String, Vec<Json>>;

/// Every table of the library except its migrations, the organizations first.
pub async fn tables(database: &Database) -> Vec<String> {
    let mut tables: Vec<String> = match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
        )
        .fetch_all(pool)
        .await
        .expect("the catalog"),
        #[cfg(feature = "sqlite")]
        Database::Sqlite(pool) => {
            sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
                .fetch_all(pool)
                .await
                .expect("the catalog")
        }
        _ => unreachable!("neither Postgres nor SQLite"),
    };
    tables.retain(|table| table.starts_with("guestlist_") && table != "guestlist_migrations");
    tables.sort_by_key(|table| (table != "guestlist_organizations", table.clone()));
    tables
}

/// A statement that reads all of them: each row holds the table's name and one of its rows.
pub async fn reading(database: &Database, tables: &[String]) -> String {
    let mut selects = Vec::new();
    for table in tables {
        let row = row_as_json(database, table).await;
        selects.push(format!("SELECT '{table}', {row} FROM {table}"));
    }
    selects.join(" UNION ALL ")
}

async fn row_as_json(database: &Database, table: &str) -> String {
    match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => format!("to_jsonb({table})::text"),
        #[cfg(feature = "sqlite")]
        Database::Sqlite(pool) => {
            let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
                .bind(table)
                .fetch_all(pool)
                .await
                .expect("the catalog");
            let fields: Vec<_> = columns
                .iter()
                .map(|column| {
                    format!("'{column}', iif(typeof({column}) = 'blob', hex({column}), {column})")
                })
                .collect();
            format!("json_object({})", fields.join(", "))
        }
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

pub async fn read(database: &Database, reading: &str) -> Rows {
    let query = AssertSqlSafe(reading.to_owned());
    let found: Vec<(String, String)> = match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => sqlx::query_as(query).fetch_all(pool).await,
        #[cfg(feature = "sqlite")]
        Database::Sqlite(pool) => sqlx::query_as(query).fetch_all(pool).await,
        _ => unreachable!("neither Postgres nor SQLite"),
    }
    .expect("read");
    let mut rows = Rows::new();
    for (table, row) in found {
        let row = row.parse().expect("JSON");
        rows.entry(table).or_default().push(row);
    }
    rows
}

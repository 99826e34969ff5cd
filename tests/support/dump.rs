//! Every row of every table of Guestlist, as text.

use guestlist::{Database, Transaction};

/// What the tables hold, a line for each row; two dumps are equal when nothing was written between.
/// Left out is only when an organization's lock was taken last.
pub async fn dump(database: &Database) -> Vec<String> {
    let mut lines = Vec::new();
    for table in tables(database).await {
        let mut rows = rows(database, &table).await;
        rows.sort();
        lines.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    assert!(!lines.is_empty(), "there is always an organization");
    lines
}

async fn tables(database: &Database) -> Vec<String> {
    let found = match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => {
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_name LIKE 'guestlist\\_%' ORDER BY 1"
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) => {
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name LIKE 'guestlist\\_%' ESCAPE '\\' ORDER BY 1"
        }
    };
    texts(database, found).await
}

async fn rows(database: &Database, table: &str) -> Vec<String> {
    let statement = match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => {
            format!("SELECT (to_jsonb(r) - 'updated_at')::text FROM {table} AS r")
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) => {
            let columns = format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid");
            let columns = texts(database, &columns).await;
            let quoted: Vec<String> = columns
                .iter()
                .filter(|column| *column != "updated_at")
                .map(|column| format!("'{column}=' || quote({column})"))
                .collect();
            format!("SELECT {} FROM {table}", quoted.join(" || ', ' || "))
        }
    };
    texts(database, &statement).await
}

async fn texts(database: &Database, statement: &str) -> Vec<String> {
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    match database.begin().await.expect("a transaction") {
        #[cfg(feature = "postgres")]
        Transaction::Postgres(mut tx) => sqlx::query_scalar(statement).fetch_all(&mut *tx).await,
        #[cfg(feature = "sqlite")]
        Transaction::Sqlite(mut tx) => sqlx::query_scalar(statement).fetch_all(&mut *tx).await,
    }
    .expect("the tables can be read")
}

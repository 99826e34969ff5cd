//! Every row of every table of Guestlist, as text.

/// The database to read.
#[allow(dead_code, reason = "a library with one of them asks no other")]
#[derive(Clone, Copy)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

/// The content of the tables, one line for each row, read by `ask`, which runs a statement and
/// returns its one column of text. The time of an organization's last lock is left out, so that two
/// dumps are equal if nothing was written in between.
pub async fn dump(dialect: Dialect, ask: impl AsyncFn(String) -> Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for table in ask(tables(dialect).to_owned()).await {
        let statement = match dialect {
            Dialect::Postgres => {
                format!("SELECT (to_jsonb(r) - 'updated_at')::text FROM {table} AS r")
            }
            Dialect::Sqlite => {
                let columns = format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid");
                quoted(&table, ask(columns).await)
            }
        };
        let mut rows = ask(statement).await;
        rows.sort();
        lines.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    assert!(!lines.is_empty(), "there is always an organization");
    lines
}

fn tables(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => {
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_name LIKE 'guestlist%' ORDER BY 1"
        }
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name LIKE 'guestlist%' ORDER BY 1"
        }
    }
}

fn quoted(table: &str, columns: Vec<String>) -> String {
    let quoted: Vec<String> = columns
        .iter()
        .filter(|column| *column != "updated_at")
        .map(|column| format!("'{column}=' || quote({column})"))
        .collect();
    format!("SELECT {} FROM {table}", quoted.join(" || ', ' || "))
}

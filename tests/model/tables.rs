//! The tables themselves: dumps them to detect writes, and empties them.

use std::collections::BTreeMap;

use guestlist::Database;
use sqlx::{AssertSqlSafe, Row};

/// The library's tables except those of its migrations.
#[derive(Debug)]
pub struct Tables {
    names: Vec<String>,
    /// A statement that reads every row of every table as a line of text, without the column with
    /// the time of an organization's last lock: a refused operation may have taken it.
    dump: String,
}

/// A line of text for each row of each table.
pub type Dump = Vec<String>;

impl Tables {
    pub async fn of(database: &Database) -> Self {
        let columns = match database {
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => {
                "SELECT table_name AS t, column_name AS c FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name LIKE 'guestlist_%'
                 ORDER BY table_name, ordinal_position"
            }
            #[cfg(feature = "sqlite")]
            Database::Sqlite(_) => {
                "SELECT m.name AS t, c.name AS c FROM sqlite_master AS m, pragma_table_info(m.name) AS c
                 WHERE m.type = 'table' AND m.name LIKE 'guestlist_%' ORDER BY m.name, c.cid"
            }
            _ => unreachable!("neither Postgres nor SQLite"),
        };
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in pairs(database, columns).await {
            let is_lock = table == "guestlist_organizations" && column == "updated_at";
            if table != "guestlist_migrations" && !is_lock {
                tables.entry(table).or_default().push(column);
            }
        }
        let dumps: Vec<_> = tables
            .iter()
            .map(|(table, columns)| dump_of(database, table, columns))
            .collect();
        Self {
            names: tables.into_keys().collect(),
            dump: dumps.join(" UNION ALL "),
        }
    }

    pub async fn dump(&self, database: &Database) -> Dump {
        let mut rows: Dump = Vec::new();
        for (table, row) in pairs(database, &self.dump).await {
            rows.push(format!("{table}: {row}"));
        }
        rows.sort();
        rows
    }

    pub async fn wipe(&self, database: &Database) {
        for name in &self.names {
            let text = AssertSqlSafe(format!("DELETE FROM {name}"));
            let result = match database {
                #[cfg(feature = "postgres")]
                Database::Postgres(pool) => sqlx::query(text).execute(pool).await.map(drop),
                #[cfg(feature = "sqlite")]
                Database::Sqlite(pool) => sqlx::query(text).execute(pool).await.map(drop),
                _ => unreachable!("neither Postgres nor SQLite"),
            };
            result.expect("the table can be emptied");
        }
    }
}

fn dump_of(database: &Database, table: &str, columns: &[String]) -> String {
    let text: Vec<_> = columns
        .iter()
        .map(|column| match database {
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => format!("coalesce({column}::text, '-')"),
            #[cfg(feature = "sqlite")]
            Database::Sqlite(_) => format!("quote({column})"),
            _ => unreachable!("neither Postgres nor SQLite"),
        })
        .collect();
    format!(
        "SELECT '{table}' AS t, {} AS c FROM {table}",
        text.join(" || ' ' || ")
    )
}

async fn pairs(database: &Database, text: &str) -> Vec<(String, String)> {
    let text = AssertSqlSafe(text.to_owned());
    match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => {
            let rows = sqlx::query(text).fetch_all(pool).await.expect("readable");
            rows.iter()
                .map(|row| (row.get("t"), row.get("c")))
                .collect()
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(pool) => {
            let rows = sqlx::query(text).fetch_all(pool).await.expect("readable");
            rows.iter()
                .map(|row| (row.get("t"), row.get("c")))
                .collect()
        }
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

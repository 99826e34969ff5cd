//! The library through its public API, on both databases.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[cfg(feature = "postgres")]
#[path = "support/postgres.rs"]
mod postgres;
#[cfg(feature = "sqlite")]
#[path = "support/sqlite.rs"]
mod sqlite;
#[path = "support/addresses.rs"]
mod strategies;
#[path = "support/strength.rs"]
mod strength;
mod support;
#[path = "support/dump.rs"]
mod tables;

#[path = "library/accepting.rs"]
mod accepting;
#[path = "library/acting.rs"]
mod acting;
#[path = "library/addresses.rs"]
mod addresses;
#[path = "library/attempts.rs"]
mod attempts;
#[path = "library/bounces.rs"]
mod bounces;
#[path = "library/crashes.rs"]
mod crashes;
#[path = "library/earlier_release.rs"]
mod earlier_release;
#[path = "library/fairness.rs"]
mod fairness;
#[path = "library/forgetting.rs"]
mod forgetting;
#[path = "library/inviting.rs"]
mod inviting;
#[path = "library/known_holes.rs"]
mod known_holes;
#[path = "library/lateness.rs"]
mod lateness;
#[path = "library/leasing.rs"]
mod leasing;
#[path = "library/letter_dates.rs"]
mod letter_dates;
#[path = "library/letters.rs"]
mod letters;
#[path = "library/limits.rs"]
mod limits;
#[path = "library/mass_deferral.rs"]
mod mass_deferral;
#[path = "library/members.rs"]
mod members;
#[path = "library/migrating.rs"]
mod migrating;
#[path = "library/organizations.rs"]
mod organizations;
#[path = "library/owners.rs"]
mod owners;
#[path = "library/pausing.rs"]
mod pausing;
#[path = "library/pending_role.rs"]
mod pending_role;
#[path = "library/presets.rs"]
mod presets;
#[path = "library/resending.rs"]
mod resending;
#[cfg(feature = "postgres")]
#[path = "library/rights.rs"]
mod rights;
#[path = "library/seats.rs"]
mod seats;
#[path = "library/sessions.rs"]
mod sessions;
#[cfg(feature = "postgres")]
#[path = "library/statements.rs"]
mod statements;
#[path = "library/suppressions.rs"]
mod suppressions;
#[path = "library/suspending.rs"]
mod suspending;
#[path = "library/time.rs"]
mod time;
#[path = "library/tokens.rs"]
mod tokens;
#[path = "library/transactions.rs"]
mod transactions;
#[path = "library/wrong_types.rs"]
mod wrong_types;

/// True if several writers can work at the same time; SQLite has one at a time.
fn has_many_writers(team: &support::Team) -> bool {
    match team.database {
        #[cfg(feature = "postgres")]
        guestlist::Database::Postgres(_) => true,
        #[cfg(feature = "sqlite")]
        guestlist::Database::Sqlite(_) => false,
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

/// The content of every table; two dumps are equal if nothing was written in between.
async fn dump(database: &guestlist::Database) -> Vec<String> {
    use sqlx::{AssertSqlSafe, query_scalar};
    match database {
        #[cfg(feature = "postgres")]
        guestlist::Database::Postgres(pool) => {
            let ask = async |sql: String| {
                query_scalar(AssertSqlSafe(sql))
                    .fetch_all(pool)
                    .await
                    .unwrap()
            };
            tables::dump(tables::Dialect::Postgres, ask).await
        }
        #[cfg(feature = "sqlite")]
        guestlist::Database::Sqlite(pool) => {
            let ask = async |sql: String| {
                query_scalar(AssertSqlSafe(sql))
                    .fetch_all(pool)
                    .await
                    .unwrap()
            };
            tables::dump(tables::Dialect::Sqlite, ask).await
        }
        _ => unreachable!("neither Postgres nor SQLite"),
    }
}

//! Conflicts with transactions of others.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;

use crate::support::{CommandLine, Ran, text};

const BOB: &str = "UPDATE guestlist_memberships SET name = name WHERE user_id = 'bob'";
const ORGANIZATION: &str = "UPDATE guestlist_organizations SET name = name";

/// A transaction that locks rows of `guestlist` and is never chosen as the victim of a deadlock.
async fn transaction_holding(command_line: &CommandLine, rows: &str) -> PgConnection {
    let mut connection = PgConnection::connect(&command_line.database_url())
        .await
        .unwrap();
    for statement in [
        "SET deadlock_timeout = '1h'",
        "SET lock_timeout = 0",
        "BEGIN",
        rows,
    ] {
        execute(&mut connection, statement).await;
    }
    connection
}

async fn execute(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await
        .unwrap();
}

/// Waits until a count in the database is one.
async fn until_one(command_line: &CommandLine, count: &'static str) {
    let mut connection = PgConnection::connect(&command_line.database_url())
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if found == 1 {
            return;
        }
        assert!(Instant::now() < deadline, "it is {found}: {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sets a parameter for all new connections.
fn set(command_line: &CommandLine, parameter: &str, value: &str) {
    command_line.sql(&format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {parameter} = ''{value}''', current_database()); END $$"
    ));
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn deadlocked_command_is_retried() {
    let command_line = CommandLine::on_postgres();
    let acme = command_line.organization();
    command_line.member(&acme, "bob", "agent");
    // The command looks for a deadlock once, this long after it began to wait.
    set(&command_line, "deadlock_timeout", "3s");
    let runtime = runtime();
    let mut other = runtime.block_on(transaction_holding(&command_line, BOB));
    let child = command_line
        .command(&format!(
            "change-role bob manager --organization {acme} --as ann --json"
        ))
        .spawn()
        .unwrap();
    runtime.block_on(async {
        until_one(
            &command_line,
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
        execute(&mut other, ORGANIZATION).await;
        execute(&mut other, "COMMIT").await;
    });
    let ran = Ran::of(child.wait_with_output().unwrap()).done();
    assert_eq!(ran.object()["role"], "manager");
    runtime.block_on(until_one(
        &command_line,
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    ));
}

#[test]
fn command_gives_up_after_repeated_conflicts() {
    let command_line = CommandLine::on_postgres();
    let acme = command_line.organization();
    set(&command_line, "lock_timeout", "100ms");
    let runtime = runtime();
    let other = runtime.block_on(transaction_holding(&command_line, ORGANIZATION));
    let line = format!("organization rename {acme} Other --as ann --json");
    let refused = command_line.run(&line).ended(1).object();
    assert_eq!(refused["error"], "conflict");
    assert_eq!(
        text(&refused["message"]),
        "other transactions were in the way at every attempt; nothing was changed; run \
         the same command again"
    );
    assert_eq!(command_line.one("organization list")["name"], "Acme");
    runtime.block_on(other.close()).unwrap();
}

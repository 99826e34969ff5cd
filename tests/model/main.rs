//! Compares the library with a small reference model of its rules on random histories of every
//! operation, on both databases.
//!
//! A history (`history.rs`) is a random configuration and a random list of steps: operations by
//! owners, members, former members and strangers of several organizations, time passing, and the
//! worker's sweeps and reports, with links that are new, old, replaced, forged or made for another
//! invitation. The library performs each step on a real database (`fixture.rs`); the reference
//! model performs it in memory. The model was written from the rules and knows no SQL
//! (`reference_model.rs`, with its tables in `rules.rs` and `accounts.rs`). After each step
//! (`comparison.rs`) these must hold:
//! - Both gave the same answer; refusals have the same code and data.
//! - The public API reads the same state from both (`snapshot.rs`), and the outbox holds exactly
//!   the tasks that are not done yet.
//! - A refusal or a no-op left every table unchanged, although the transaction was committed
//!   (`tables.rs`).
//! - Each transition wrote one event, and the events alone give the state (`event_replay.rs`).
//! - The promises about state hold, independent of the model (`promises.rs`).
//!
//! A failing history is shortened and printed operation by operation. Its seed is kept in
//! `seeds.txt`, which is tried first from then on. The outcomes of a run are counted, and a
//! possible outcome that never occurred is a failure as well (`coverage.rs`).
//!
//! Two things are left out: retention, which deletes invitations and events without writing an
//! event, and races, since one step ends before the next begins.
//!
//! # How these tests were seen to fail
//!
//! Each of these changes, made to the library by hand, fails the default run, most of them with a
//! history of two to ten operations:
//! - `keep_an_owner` lets everyone go, or counts suspended owners;
//! - the unique index of open invitations and the check before it are removed;
//! - `accept` does not check again if the granter may grant, or if the invitation has expired, be
//!   it by a microsecond; it lowers a role; it allows one member too many;
//! - `decline` writes no event, `rename` writes one for the same name;
//! - `resend` puts no letter in the outbox, or counts one before it is refused;
//! - a suspended member may act, or keeps their sessions;
//! - a changed invitation still depends on the permissions of its first sender;
//! - limits count addresses instead of mailboxes;
//! - `forget_user` leaves pending invitations.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod accounts;
mod comparison;
mod coverage;
mod event_replay;
mod fixture;
mod history;
mod limits;
mod operation;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres;
mod promises;
mod reading;
mod reference_model;
mod rules;
mod snapshot;
#[cfg(feature = "sqlite")]
#[path = "../support/sqlite.rs"]
mod sqlite;
#[path = "../support/strength.rs"]
mod strength;
mod tables;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use guestlist::Database;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

use crate::comparison::Comparison;
use crate::coverage::Coverage;
use crate::tables::Tables;

/// The file with the seeds of failures, each with a note on what it caught.
const SEEDS: &str = "tests/model/seeds.txt";

/// The number of histories on each database.
const BY_DEFAULT: u32 = 50;
const IN_FULL: u32 = 1200;

fn histories_agree(runtime: &tokio::runtime::Runtime, database: Database, name: &str) {
    let tables = runtime.block_on(async {
        guestlist::migrate(&database)
            .await
            .expect("the schema is created");
        Tables::of(&database).await
    });
    let coverage = RefCell::new(Coverage::default());
    let histories = strength::rounds(BY_DEFAULT, IN_FULL);
    let mut runner = TestRunner::new(Config {
        cases: histories,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(SEEDS))),
        max_shrink_time: 30_000,
        ..Config::default()
    });
    let agreed = runner.run(&history::history(), |(settings, steps)| {
        let log = RefCell::new(format!("{settings:?}"));
        let comparison = AssertUnwindSafe(|| {
            runtime.block_on(Box::pin(async {
                let mut comparison =
                    Comparison::begin(&database, &tables, settings, &coverage, &log).await;
                comparison.run(&steps).await
            }))
        });
        let outcome = catch_unwind(comparison)
            .unwrap_or_else(|panic| Err(TestCaseError::fail(panic_text(&*panic))));
        outcome.map_err(|failure| TestCaseError::fail(format!("{failure}\n{}\n", log.borrow())))
    });
    agreed.unwrap_or_else(|failure| panic!("{failure}"));
    let coverage = coverage.into_inner();
    println!("{}", coverage.measured(name));
    coverage.require(histories == IN_FULL);
}

/// The text of a panic. It has been printed already, but is repeated beside the log of the history.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic").to_owned()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[cfg(feature = "postgres")]
#[test]
fn random_histories_agree_with_the_model_on_postgres() {
    let runtime = runtime();
    let database = runtime.block_on(postgres::schema());
    histories_agree(&runtime, database, "postgres");
}

#[cfg(feature = "sqlite")]
#[test]
fn random_histories_agree_with_the_model_on_sqlite() {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = runtime.block_on(sqlite::file(folder.path()));
    histories_agree(&runtime, database, "sqlite");
}

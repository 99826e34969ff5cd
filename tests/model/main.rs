//! Random histories of every operation, on both databases, beside a small model of the rules.
//!
//! A history (`history.rs`) is a random configuration and a random list of steps: operations by
//! owners, members, former members and strangers of several organizations, time passing, and the
//! worker's sweeps and reports, with links that are new, old, replaced, forged or somebody else's.
//! Each step is done by the library on a real database (`fixture.rs`) and by a model in memory that
//! was written from the rules and knows no SQL (`reference_model.rs`, with its tables in `rules.rs` and
//! `accounts.rs`). After each step (`comparison.rs`):
//! - both gave the same answer, refusals with the same code and data;
//! - what can be read through the public API is the same (`snapshot.rs`), and what waits in the
//!   outbox is what is owed;
//! - a refusal and a no-op left every table as it was, although the transaction was committed
//!   (`tables.rs`);
//! - each transition told one event, and the events alone tell the state (`event_replay.rs`);
//! - the promises that speak of state hold whatever the model says (`promises.rs`).
//!
//! What fails is shortened, told deed by deed, and its seed kept in `seeds.txt`, which is tried first
//! from then on. What the histories of a run did is counted, and a way for an operation to end that
//! never occurred is a failure as well (`coverage.rs`).
//!
//! Retention of invitations and events is left out: it forgets without telling. So are races; one
//! step ends before the next begins.
//!
//! # How it is shown to fail
//!
//! Each of these, done to the library by hand, is found by the default run, most of them as a history of
//! two to ten deeds:
//! - `keep_an_owner` lets everyone go, or counts suspended owners;
//! - the unique index of open invitations, and with it the check before it, are taken away;
//! - `accept` does not ask again whether the granter may grant, or whether the time is over, be it
//!   by a microsecond; it lowers a role; it leaves the seats uncounted by one;
//! - `decline` tells no event, `rename` tells one of the same name;
//! - `resend` promises no letter, or counts one before it is refused;
//! - a suspended member acts, or keeps their sessions;
//! - a changed invitation still rests on who sent it first;
//! - limits count addresses instead of mailboxes;
//! - `forget_user` leaves what is pending.
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

use crate::comparison::Trial;
use crate::coverage::Coverage;
use crate::tables::Tables;

/// Where the seeds of failures are kept; what each caught is said there.
const SEEDS: &str = "tests/model/seeds.txt";

/// How many histories, on each database.
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
        let story = RefCell::new(format!("{settings:?}"));
        let trial = AssertUnwindSafe(|| {
            runtime.block_on(Box::pin(async {
                let mut trial = Trial::begin(&database, &tables, settings, &coverage, &story).await;
                trial.run(&steps).await
            }))
        });
        let outcome =
            catch_unwind(trial).unwrap_or_else(|panic| Err(TestCaseError::fail(said(&*panic))));
        outcome.map_err(|failure| TestCaseError::fail(format!("{failure}\n{}\n", story.borrow())))
    });
    agreed.unwrap_or_else(|failure| panic!("{failure}"));
    let coverage = coverage.into_inner();
    println!("{}", coverage.measured(name));
    coverage.require(histories == IN_FULL);
}

/// What a panic said; it has been printed, but is wanted beside the story it ended.
fn said(panic: &(dyn Any + Send)) -> String {
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

//! Random histories of every operation, on both databases, beside a small model of the rules.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod cast;
mod chronicle;
mod coverage;
mod deed;
mod history;
mod limits;
mod portrait;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres;
mod promises;
mod reading;
mod rules;
#[cfg(feature = "sqlite")]
#[path = "../support/sqlite.rs"]
mod sqlite;
mod stage;
#[path = "../support/strength.rs"]
mod strength;
mod tables;
mod trial;
mod world;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use guestlist::Database;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

use crate::coverage::Coverage;
use crate::tables::Tables;
use crate::trial::Trial;

/// Where the seeds of failures are kept; what each caught is said there.
const SEEDS: &str = "tests/model/seeds.txt";

/// How many histories, on each database.
const BY_DEFAULT: u32 = 60;
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

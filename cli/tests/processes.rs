//! The worker and the command line as separate processes, as in production.
//!
//! Servers that a test kills, flushes or stops belong to that test. `GUESTLIST_TEST_POSTGRES` is
//! the URL of a database whose user may create others.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]
#![allow(dead_code, reason = "each test program uses its part of the support")]

#[macro_use]
#[path = "cli/support.rs"]
mod support;
#[path = "../../jobs/tests/support/exposition.rs"]
mod exposition;
#[path = "../../tests/support/dump.rs"]
mod tables;

#[path = "processes/at_rest.rs"]
mod at_rest;
#[path = "processes/bulk.rs"]
mod bulk;
#[path = "processes/crashes.rs"]
mod crashes;
#[path = "processes/doctor.rs"]
mod doctor;
#[path = "processes/embedded.rs"]
mod embedded;
#[path = "processes/expiry.rs"]
mod expiry;
#[path = "processes/health.rs"]
mod health;
#[path = "processes/installation.rs"]
mod installation;
#[path = "processes/mistakes.rs"]
mod mistakes;
#[path = "processes/operations.rs"]
mod operations;
#[path = "processes/outages.rs"]
mod outages;
#[path = "processes/received_letters.rs"]
mod received_letters;
#[path = "processes/sessions.rs"]
mod sessions;
#[path = "processes/signals.rs"]
mod signals;
#[path = "processes/worker.rs"]
mod worker;

//! The worker end to end: on Postgres with Redis, and on SQLite with the queue in memory.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]
#![allow(dead_code, reason = "each test program uses its part of the support")]

#[path = "../../tests/support/postgres.rs"]
mod postgres;
#[path = "../../tests/support/sqlite.rs"]
mod sqlite;
#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "support/exposition.rs"]
mod exposition;

#[path = "worker/alerting.rs"]
mod alerting;
#[path = "worker/attempts.rs"]
mod attempts;
#[path = "worker/delivery.rs"]
mod delivery;
#[path = "worker/failover.rs"]
mod failover;
#[path = "worker/fairness.rs"]
mod fairness;
#[path = "worker/faults.rs"]
mod faults;
#[path = "worker/harness.rs"]
mod harness;
#[path = "worker/letter_dates.rs"]
mod letter_dates;
#[path = "worker/monitor.rs"]
mod monitor;
#[path = "worker/notices.rs"]
mod notices;
#[path = "worker/pooler.rs"]
mod pooler;
#[path = "worker/rate.rs"]
mod rate;
#[path = "worker/refusals.rs"]
mod refusals;
#[path = "worker/sessions.rs"]
mod sessions;
#[path = "worker/silence.rs"]
mod silence;
#[path = "worker/suspects.rs"]
mod suspects;
#[path = "worker/time.rs"]
mod time;

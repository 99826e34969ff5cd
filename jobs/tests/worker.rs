//! The worker end to end: on Postgres with Redis, and on SQLite with the queue in memory.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "worker/bench.rs"]
mod bench;
#[path = "worker/delivery.rs"]
mod delivery;
#[path = "worker/faults.rs"]
mod faults;
#[path = "worker/notices.rs"]
mod notices;
#[path = "worker/sessions.rs"]
mod sessions;
#[path = "worker/time.rs"]
mod time;

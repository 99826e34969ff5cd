//! The worker against real mail servers, Postfix and Exim, on Postgres with Redis.
//!
//! Run by `bin/test --release-gate`; an ordinary run leaves these tests out. They need the servers that
//! `bin/setup --with-mail-servers` installs, and root.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]
#![allow(dead_code, reason = "each test program uses its part of the support")]

#[path = "../../tests/support/postgres.rs"]
mod postgres;
#[path = "../../tests/support/sqlite.rs"]
mod sqlite;
#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "worker/harness.rs"]
mod harness;

#[path = "mail_servers/access.rs"]
mod access;
#[path = "mail_servers/authority.rs"]
mod authority;
#[path = "mail_servers/delivery.rs"]
mod delivery;
#[path = "mail_servers/exim.rs"]
mod exim;
#[path = "mail_servers/fixture.rs"]
mod fixture;
#[path = "mail_servers/postfix.rs"]
mod postfix;
#[path = "mail_servers/refusals.rs"]
mod refusals;
#[path = "mail_servers/server.rs"]
mod server;

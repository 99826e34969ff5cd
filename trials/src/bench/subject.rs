//! The subjects of a benchmark, one file for each.

mod beside;
mod both;
mod bulk;
mod connections;
mod drain;
mod expiry;
mod greeting;
mod installation;
mod invite;
mod memory;
mod open_loop;
mod purge;
mod redis;
mod refusal;
mod refused_few;
mod relay;
mod size;
mod sqlite;
mod start;
mod throttle;
mod warm_worker;

use std::time::Duration;

use clap::ValueEnum;

use super::environment::Environment;
use super::row::Row;

/// A subject of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// Invites per second with the library on Postgres, 32 at a time; the reference is pgbench with two plain
    /// inserts per transaction.
    Invite,
    /// Invites per second from a CSV file with `guestlist invite --file`.
    Bulk,
    /// Letters per second of a backlog by one worker, and its memory; the reference is smtp-source.
    Drain,
    /// Letters per second while people are invited as fast as possible.
    Both,
    /// Time from an invite to its letter, at a fixed rate of 50 invites per second.
    OpenLoop,
    /// Memory of a worker that is idle, and of one with many letters waiting.
    Memory,
    /// Time from the start of a worker to its first letter.
    Start,
    /// Time of an invite, a membership check and a list in a large database; the reference is a small one.
    Size,
    /// Overdue invitations recorded as expired per second.
    Expiry,
    /// Time from the removal of a member to the end of their sessions while letters wait, and how long ending
    /// many sessions blocks Redis.
    Purge,
    /// Invites and letters per second on SQLite without Redis.
    Sqlite,
    /// Pushes per second of Redis itself, for comparison.
    Redis,
    /// Time to lease a batch with many messages waiting, and after many were processed; the reference is a
    /// small, new outbox.
    Relay,
    /// Time of ordinary letters while the mail server refuses five other recipients for policy; the reference
    /// is the same without those.
    Policy,
    /// Time of ordinary letters while the mail server refuses 20 letters of another organization for their
    /// content; the reference is the same without those.
    Content,
    /// Time from the end of a refusal of everything by the mail server, in several words and at several
    /// stages, to the last letter.
    Refusal,
    /// Letters per second to a mail server that takes 14 a second, and the tries that it refuses.
    Throttle,
    /// Letters per second to a mail server that allows 4 connections, with 16 configured; the reference is 4
    /// configured.
    Connections,
    /// Longest time from an invite to its letter while the mail server never greets 3 of 16 connections.
    Greeting,
    /// Letters per second of a backlog by one worker; the reference is the command of --beside.
    Beside,
}

/// Maximum time to wait for a result.
const WAIT_TIMEOUT: Duration = Duration::from_secs(900);

impl Subject {
    pub(crate) const ALL: [Self; 20] = [
        Self::Invite,
        Self::Bulk,
        Self::Drain,
        Self::Both,
        Self::OpenLoop,
        Self::Memory,
        Self::Start,
        Self::Size,
        Self::Expiry,
        Self::Purge,
        Self::Sqlite,
        Self::Redis,
        Self::Relay,
        Self::Policy,
        Self::Content,
        Self::Refusal,
        Self::Throttle,
        Self::Connections,
        Self::Greeting,
        Self::Beside,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Bulk => "bulk",
            Self::Drain => "drain",
            Self::Both => "both",
            Self::OpenLoop => "open_loop",
            Self::Memory => "memory",
            Self::Start => "start",
            Self::Size => "size",
            Self::Expiry => "expiry",
            Self::Purge => "purge",
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Relay => "relay",
            Self::Policy => "policy",
            Self::Content => "content",
            Self::Refusal => "refusal",
            Self::Throttle => "throttle",
            Self::Connections => "connections",
            Self::Greeting => "greeting",
            Self::Beside => "beside",
        }
    }

    /// Measures, and verifies that all items were processed.
    pub(crate) async fn measure(self, environment: &mut Environment) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Invite => invite::measure(environment).await,
            Self::Bulk => bulk::measure(environment).await,
            Self::Drain => drain::measure(environment).await,
            Self::Both => both::measure(environment).await,
            Self::OpenLoop => open_loop::measure(environment).await,
            Self::Memory => memory::measure(environment).await,
            Self::Start => start::measure(environment).await,
            Self::Size => size::measure(environment).await,
            Self::Expiry => expiry::measure(environment).await,
            Self::Purge => purge::measure(environment).await,
            Self::Sqlite => sqlite::measure(environment).await,
            Self::Redis => redis::measure(environment).await,
            Self::Relay => relay::measure(environment).await,
            Self::Policy => refused_few::measure_policy(environment).await,
            Self::Content => refused_few::measure_content(environment).await,
            Self::Refusal => refusal::measure(environment).await,
            Self::Throttle => throttle::measure(environment).await,
            Self::Connections => connections::measure(environment).await,
            Self::Greeting => greeting::measure(environment).await,
            Self::Beside => beside::measure(environment).await,
        }
    }
}

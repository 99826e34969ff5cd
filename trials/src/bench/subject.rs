//! What is measured, a file each.

mod both;
mod bulk;
mod drain;
mod expiry;
mod invite;
mod memory;
mod open_loop;
mod purge;
mod redis;
mod relay;
mod size;
mod sqlite;
mod start;

use std::time::Duration;

use clap::ValueEnum;

use super::environment::Stage;
use super::row::Row;

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// Invites a second through the library on Postgres, 32 at a time, beside pgbench with two plain
    /// inserts in a transaction.
    Invite,
    /// Invites a second from a CSV file, through `guestlist invite --file`.
    Bulk,
    /// Letters a second of a backlog, by one worker, beside smtp-source; and the worker's memory.
    Drain,
    /// Letters a second while people are invited as fast as it goes.
    Both,
    /// 50 invites a second by the clock: how long from the invite to its letter.
    OpenLoop,
    /// A worker's memory, idle and with many letters waiting.
    Memory,
    /// How long from a worker's start to its first letter.
    Start,
    /// Invite, membership check and list with much stored, beside little.
    Size,
    /// Overdue invitations recorded as expired a second.
    Expiry,
    /// How long from a removal to the end of its sessions while letters wait; and how long a purge
    /// of many sessions holds Redis up.
    Purge,
    /// SQLite without Redis: invites and letters a second.
    Sqlite,
    /// What Redis itself can do, for comparison.
    Redis,
    /// A relay's batch with many messages waiting, and after many passed through, beside few.
    Relay,
}

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(900);

impl Subject {
    pub(crate) const ALL: [Self; 13] = [
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
        }
    }

    /// Measures, and checks that what was to be done was done.
    pub(crate) async fn measure(self, stage: &mut Stage) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Invite => invite::measure(stage).await,
            Self::Bulk => bulk::measure(stage).await,
            Self::Drain => drain::measure(stage).await,
            Self::Both => both::measure(stage).await,
            Self::OpenLoop => open_loop::measure(stage).await,
            Self::Memory => memory::measure(stage).await,
            Self::Start => start::measure(stage).await,
            Self::Size => size::measure(stage).await,
            Self::Expiry => expiry::measure(stage).await,
            Self::Purge => purge::measure(stage).await,
            Self::Sqlite => sqlite::measure(stage).await,
            Self::Redis => redis::measure(stage).await,
            Self::Relay => relay::measure(stage).await,
        }
    }
}

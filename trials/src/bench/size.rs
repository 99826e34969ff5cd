//! The amounts that a benchmark processes.

use std::time::Duration;

use clap::ValueEnum;

/// A named set of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// Shows only that everything works; the values mean nothing.
    Tiny,
    /// Takes about ten minutes for all subjects; the values are roughly right.
    Quick,
    /// Takes about an hour and 20 GB of disk; the targets apply to this size on an otherwise idle machine.
    Full,
}

/// The number of items of each kind, and the length of measurements by time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amounts {
    pub(crate) organizations: u64,
    pub(crate) invites: u64,
    pub(crate) lines: u64,
    pub(crate) letters: u64,
    pub(crate) letters_at_once: u64,
    pub(crate) open_loop: Duration,
    pub(crate) backlog: u64,
    pub(crate) idle: Duration,
    pub(crate) draining: Duration,
    pub(crate) waiting: u64,
    pub(crate) starts: u64,
    pub(crate) stored: u64,
    pub(crate) operations: u64,
    pub(crate) batches: u64,
    pub(crate) processed: u64,
    pub(crate) overdue: u64,
    pub(crate) removals: u64,
    pub(crate) sessions: u64,
    pub(crate) files: u64,
    pub(crate) pushes: u64,
    pub(crate) ordinary: u64,
    pub(crate) refusals: usize,
    pub(crate) refusal: Duration,
    pub(crate) settling: Duration,
    pub(crate) throttled: Duration,
    pub(crate) limited: u64,
}

impl Size {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    pub(crate) fn amounts(self) -> Amounts {
        match self {
            Self::Tiny => Amounts {
                organizations: 4,
                invites: 64,
                lines: 120,
                letters: 100,
                letters_at_once: 64,
                open_loop: Duration::from_millis(500),
                backlog: 100,
                idle: Duration::from_millis(300),
                draining: Duration::from_millis(500),
                waiting: 2_000,
                starts: 1,
                stored: 2_000,
                operations: 5,
                batches: 2,
                processed: 4_000,
                overdue: 300,
                removals: 5,
                sessions: 1_200,
                files: 64,
                pushes: 1_000,
                ordinary: 40,
                refusals: 4,
                refusal: Duration::from_secs(2),
                settling: Duration::from_secs(2),
                throttled: Duration::from_secs(2),
                limited: 60,
            },
            Self::Quick => Amounts {
                organizations: 100,
                invites: 5_000,
                lines: 20_000,
                letters: 5_000,
                letters_at_once: 5_000,
                open_loop: Duration::from_secs(3),
                backlog: 10_000,
                idle: Duration::from_secs(1),
                draining: Duration::from_secs(2),
                waiting: 50_000,
                starts: 3,
                stored: 100_000,
                operations: 200,
                batches: 20,
                processed: 100_000,
                overdue: 20_000,
                removals: 40,
                sessions: 20_000,
                files: 500,
                pushes: 100_000,
                ordinary: 300,
                refusals: 12,
                refusal: Duration::from_secs(30),
                settling: Duration::from_secs(60),
                throttled: Duration::from_secs(60),
                limited: 600,
            },
            Self::Full => Amounts {
                organizations: 500,
                invites: 60_000,
                lines: 20_000,
                letters: 50_000,
                letters_at_once: 50_000,
                open_loop: Duration::from_secs(20),
                backlog: 10_000,
                idle: Duration::from_secs(10),
                draining: Duration::from_secs(30),
                waiting: 1_000_000,
                starts: 5,
                stored: 10_000_000,
                operations: 1_000,
                batches: 100,
                processed: 5_000_000,
                overdue: 200_000,
                removals: 300,
                sessions: 100_000,
                files: 5_000,
                pushes: 1_000_000,
                ordinary: 300,
                refusals: 12,
                refusal: Duration::from_secs(30),
                settling: Duration::from_secs(60),
                throttled: Duration::from_secs(120),
                limited: 600,
            },
        }
    }
}

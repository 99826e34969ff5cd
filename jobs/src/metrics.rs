//! What a worker counts while it works.

use std::time::Duration;

use guestlist::outbox::Cost;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

type Label = (&'static str, &'static str);

/// Counters of a worker. Clones share them, and nothing outside of the worker does.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Sessions deleted or forgotten because their membership ended.
    pub(crate) sessions_purged: Counter,
    /// Messages leased whose lease before had lapsed.
    pub(crate) lease_expiries: Counter,
    dispatches: Family<[Label; 1], Counter>,
    restarts: Family<[Label; 1], Counter>,
    runs: Family<[Label; 2], Counter>,
    durations: Family<[Label; 1], Histogram, fn() -> Histogram>,
    turn_waits: Histogram,
}

/// The kinds of messages this version knows; another is counted as `other`, so that nothing a row
/// says becomes a label.
pub(crate) const KINDS: [&str; 4] = [
    "send_invitation",
    "send_reminder",
    "send_notice",
    "purge_sessions",
];

/// The parts of a worker that are started again when they panic.
const PARTS: [&str; 4] = ["relay", "scheduler", "renewal", "settler"];

/// What a kind is called in labels.
pub(crate) fn kind(kind: &str) -> &'static str {
    let known = KINDS.into_iter().find(|known| *known == kind);
    known.unwrap_or("other")
}

/// How a run of a job ended, as labels call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunOutcome {
    /// Its effect is confirmed.
    Done,
    /// There was nothing to do any more.
    Cancelled,
    /// It comes again and cost an attempt.
    Retried,
    /// It comes again and cost nothing, since nobody could be served.
    Postponed,
    /// It was given up.
    Dead,
}

impl RunOutcome {
    const ALL: [Self; 5] = [
        Self::Done,
        Self::Cancelled,
        Self::Retried,
        Self::Postponed,
        Self::Dead,
    ];

    /// What a message that is put back at this cost counts as.
    pub(crate) fn put_back(cost: Cost) -> Self {
        match cost {
            Cost::Nothing => Self::Postponed,
            Cost::Attempt | Cost::Fault => Self::Retried,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
            Self::Postponed => "postponed",
            Self::Dead => "dead",
        }
    }
}

/// From a purge of a few rows to a mail server that takes the ten minutes it may (RFC 5321 section
/// 4.5.3.2.6), in seconds.
const BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0,
];

impl Metrics {
    /// Every label that can occur is there from the start, at zero, for the `lanes` there are.
    pub(crate) fn new(lanes: impl IntoIterator<Item = &'static str>) -> Self {
        let metrics = Self {
            sessions_purged: Counter::default(),
            lease_expiries: Counter::default(),
            dispatches: Family::default(),
            restarts: Family::default(),
            runs: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            turn_waits: Histogram::new(BUCKETS),
        };
        for lane in lanes {
            drop(metrics.dispatches.get_or_create(&[("lane", lane)]));
        }
        for part in PARTS {
            metrics.restarts_of(part);
        }
        for kind in KINDS {
            drop(metrics.durations.get_or_create(&[("kind", kind)]));
            for outcome in RunOutcome::ALL {
                metrics.run_of(kind, outcome);
            }
        }
        metrics
    }

    /// Counts what was handed to the queue.
    pub(crate) fn dispatched(&self, lane: &'static str, count: usize) {
        let counter = self.dispatches.get_or_create_owned(&[("lane", lane)]);
        counter.inc_by(count as u64);
    }

    /// Counts how often a part of the worker was started again.
    pub(crate) fn restarts_of(&self, part: &'static str) -> Counter {
        self.restarts.get_or_create_owned(&[("part", part)])
    }

    /// Counts a job of this kind that ran to its end, and how long it took.
    pub(crate) fn ran(&self, message: &str, outcome: RunOutcome, took: Duration) {
        let kind = kind(message);
        self.run_of(kind, outcome).inc();
        let histogram = self.durations.get_or_create_owned(&[("kind", kind)]);
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a letter that had its turn at the mail server after so long.
    pub(crate) fn waited_for_turn(&self, waited: Duration) {
        self.turn_waits.observe(waited.as_secs_f64());
    }

    fn run_of(&self, kind: &'static str, outcome: RunOutcome) -> Counter {
        self.runs
            .get_or_create_owned(&[("kind", kind), ("outcome", outcome.name())])
    }

    /// Adds the counters to what is exposed.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "dispatches",
            "Messages handed to the queue by this process, by lane",
            self.dispatches.clone(),
        );
        registry.register(
            "part_restarts",
            "How often a part of this worker panicked and was started again",
            self.restarts.clone(),
        );
        registry.register(
            "lease_expiries",
            "Messages this process leased whose lease before had lapsed: its holder died, was paused, or its dispatch was lost",
            self.lease_expiries.clone(),
        );
        registry.register(
            "runs",
            "Jobs that ran to their end and were recorded, by kind and outcome",
            self.runs.clone(),
        );
        registry.register_with_unit(
            "run_duration",
            "How long jobs ran, with the wait for a turn at the mail server, without the wait in the queue and the record after",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "letter_turn_wait",
            "How long letters waited for their turn at the mail server; empty without a rate",
            Unit::Seconds,
            self.turn_waits.clone(),
        );
        registry.register(
            "sessions_purged",
            "Sessions ended because their membership did",
            self.sessions_purged.clone(),
        );
    }
}

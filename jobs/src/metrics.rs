//! The counters of a worker.

use std::time::Duration;

use guestlist::outbox::Cost;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

type Label = (&'static str, &'static str);

/// The counters of a worker. Clones share them; nothing outside of the worker does.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Sessions deleted or forgotten because their membership ended.
    pub(crate) sessions_purged: Counter,
    /// Leased messages whose previous lease had expired.
    pub(crate) lease_expiries: Counter,
    dispatches: Family<[Label; 1], Counter>,
    restarts: Family<[Label; 1], Counter>,
    runs: Family<[Label; 2], Counter>,
    durations: Family<[Label; 1], Histogram, fn() -> Histogram>,
    rate_waits: Histogram,
}

/// The kinds of messages this version knows. All others are counted as `other`, so that no text of
/// a row becomes a label.
pub(crate) const KINDS: [&str; 4] = [
    "send_invitation",
    "send_reminder",
    "send_notice",
    "purge_sessions",
];

/// The parts of a worker that are restarted when they panic.
const PARTS: [&str; 4] = ["relay", "scheduler", "renewal", "settler"];

/// Returns the label of a kind.
pub(crate) fn kind(kind: &str) -> &'static str {
    let known = KINDS.into_iter().find(|known| *known == kind);
    known.unwrap_or("other")
}

/// The outcome of a job's run, as used in labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunOutcome {
    /// The effect is confirmed.
    Done,
    /// Nothing was left to do.
    Cancelled,
    /// The job is repeated and the run counted as an attempt.
    Retried,
    /// The job is repeated and the run not counted, because no letter could be sent.
    Postponed,
    /// The job was given up.
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

    /// Returns the outcome of a message that is retried at this cost.
    pub(crate) fn put_back(cost: Cost) -> Self {
        match cost {
            Cost::Nothing | Cost::NotBegun => Self::Postponed,
            Cost::Attempt | Cost::Refusal | Cost::Fault => Self::Retried,
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

/// The buckets in seconds: from a purge of a few rows to a mail server that uses the ten minutes it
/// may (RFC 5321 section 4.5.3.2.6).
const BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0,
];

impl Metrics {
    /// Creates the counters with every possible label at zero, for the given `lanes`.
    pub(crate) fn new(lanes: impl IntoIterator<Item = &'static str>) -> Self {
        let metrics = Self {
            sessions_purged: Counter::default(),
            lease_expiries: Counter::default(),
            dispatches: Family::default(),
            restarts: Family::default(),
            runs: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            rate_waits: Histogram::new(BUCKETS),
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

    /// Counts messages handed to the queue.
    pub(crate) fn dispatched(&self, lane: &'static str, count: usize) {
        let counter = self.dispatches.get_or_create_owned(&[("lane", lane)]);
        counter.inc_by(count as u64);
    }

    /// Returns the counter of restarts of a part of the worker.
    pub(crate) fn restarts_of(&self, part: &'static str) -> Counter {
        self.restarts.get_or_create_owned(&[("part", part)])
    }

    /// Counts a finished job of this kind and its duration.
    pub(crate) fn ran(&self, message: &str, outcome: RunOutcome, took: Duration) {
        let kind = kind(message);
        self.run_of(kind, outcome).inc();
        let histogram = self.durations.get_or_create_owned(&[("kind", kind)]);
        histogram.observe(took.as_secs_f64());
    }

    /// Records how long a letter waited for the rate limiter.
    pub(crate) fn waited_for_rate(&self, waited: Duration) {
        self.rate_waits.observe(waited.as_secs_f64());
    }

    fn run_of(&self, kind: &'static str, outcome: RunOutcome) -> Counter {
        self.runs
            .get_or_create_owned(&[("kind", kind), ("outcome", outcome.name())])
    }

    /// Registers the counters.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "dispatches",
            "Messages handed to the queue by this process, by lane",
            self.dispatches.clone(),
        );
        registry.register(
            "part_restarts",
            "Restarts of a part of this worker after a panic",
            self.restarts.clone(),
        );
        registry.register(
            "lease_expiries",
            "Messages this process leased whose previous lease had expired: its worker died or was paused, or its dispatch was lost",
            self.lease_expiries.clone(),
        );
        registry.register(
            "runs",
            "Jobs that finished and were recorded, by kind and outcome",
            self.runs.clone(),
        );
        registry.register_with_unit(
            "run_duration",
            "Duration of jobs, including the wait for the mail server, excluding the wait in the queue and the recording",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "letter_turn_wait",
            "Time letters waited for the rate limit of the mail server; empty without a rate limit",
            Unit::Seconds,
            self.rate_waits.clone(),
        );
        registry.register(
            "sessions_purged",
            "Sessions ended because their membership ended",
            self.sessions_purged.clone(),
        );
    }
}

//! The health and the metrics of a worker, for load balancers, alerts and graphs.
//!
//! Nothing is checked unless somebody asks. Readiness is checked at most once a second and the
//! outbox at most once in five seconds, less often if that takes long, so that scrapers never load
//! the database.

mod backlog;
mod readiness;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guestlist::worker::{self, TriedLetters};
use guestlist::{Database, Guestlist};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::{Instant, timeout};

use self::backlog::Backlog;
pub use self::readiness::{Check, Readiness};
use crate::attempt_log::AttemptLog;
use crate::context::Context;
use crate::mailer::{BreakerState, Mailer};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::relay::Rounds;

/// The content type of [`Monitor::metrics`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The maximum duration of a check. A part that does not answer in time counts as not answering.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The time an answer about readiness is reused.
const READINESS_HOLDS: Duration = Duration::from_secs(1);

/// The time a count of the outbox or of attempts is reused, minimum and maximum.
const COUNT_HOLDS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// The ratio of reuse to duration of a count: the database spends at most a fiftieth
/// of its time on it.
const COUNT_SHARE: u32 = 50;

/// Shows whether a [`Worker`](crate::Worker) is healthy and what it did. Clones share the state.
/// Each worker has its own; there is no state of the process.
#[derive(Clone)]
pub struct Monitor(Arc<Instruments>);

struct Instruments {
    database: Database,
    guestlist: Guestlist,
    mailer: Mailer,
    queue: Queue,
    rounds: Rounds,
    attempt_log: AttemptLog,
    registry: Registry,
    gauges: Gauges,
    readiness: Recent<Readiness>,
    backlog: Recent<Option<Backlog>>,
    tried_letters: Recent<Option<TriedLetters>>,
    /// Held while gauges are set and encoded, so that two scrapes do not mix.
    encoding: Mutex<()>,
}

/// Gauges that are set right before they are exposed. A label set with no known value is left out.
#[derive(Debug, Default)]
struct Gauges {
    checks: Family<[(&'static str, &'static str); 1], Gauge>,
    skew: Family<[(&'static str, &'static str); 0], Gauge<f64, std::sync::atomic::AtomicU64>>,
    messages: Family<[(&'static str, &'static str); 2], Gauge>,
    oldest: Family<[(&'static str, &'static str); 1], Gauge<f64, std::sync::atomic::AtomicU64>>,
    resting: Gauge,
    sender_refused: Gauge,
    tried_letters: UnlabelledGauge,
    deferred_letters: UnlabelledGauge,
    deferred_domains: UnlabelledGauge,
}

/// A gauge that can be left out.
type UnlabelledGauge = Family<[(&'static str, &'static str); 0], Gauge>;

/// The last answer and the time until which it is reused.
struct Recent<T>(tokio::sync::Mutex<Option<(Instant, T)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::default())
    }
}

impl<T: Clone> Recent<T> {
    /// Returns the last answer, or a new one, which is reused for as long as `holds` returns for
    /// its value and duration. Concurrent callers wait for it.
    async fn get(
        &self,
        look: impl Future<Output = T>,
        holds: impl FnOnce(&T, Duration) -> Duration,
    ) -> T {
        let mut last = self.0.lock().await;
        if let Some((until, answer)) = &*last
            && Instant::now() < *until
        {
            return answer.clone();
        }
        let began = Instant::now();
        let answer = look.await;
        let until = Instant::now() + holds(&answer, began.elapsed());
        last.insert((until, answer)).1.clone()
    }
}

impl Monitor {
    pub(crate) fn new(
        context: &Context,
        queue: Queue,
        metrics: &Metrics,
        rounds: Rounds,
        attempt_log: AttemptLog,
    ) -> Self {
        let mut registry = Registry::with_prefix("guestlist");
        let gauges = Gauges::default();
        gauges.register(&mut registry);
        metrics.register(&mut registry);
        context.mailer.metrics().register(&mut registry);
        registry.register_collector(Box::new(QueueStatus(queue.clone())));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of this program", build);
        Self(Arc::new(Instruments {
            database: context.database.clone(),
            guestlist: context.guestlist.clone(),
            mailer: context.mailer.clone(),
            queue,
            rounds,
            attempt_log,
            registry,
            gauges,
            readiness: Recent::default(),
            backlog: Recent::default(),
            tried_letters: Recent::default(),
            encoding: Mutex::default(),
        }))
    }

    /// Returns whether the worker can work now, at most a second old. Takes at most 2 s; a part
    /// that has not answered by then counts as not answering.
    pub async fn readiness(&self) -> Readiness {
        let instruments = &*self.0;
        instruments
            .readiness
            .get(Readiness::look(instruments), |_, _| READINESS_HOLDS)
            .await
    }

    /// Returns all metrics in the Prometheus text format, to be served as [`CONTENT_TYPE`]. Takes
    /// at most 4 s; gauges of a part that does not answer are left out.
    pub async fn metrics(&self) -> String {
        let instruments = &*self.0;
        let readiness = self.readiness().await;
        let look = async { timeout(CHECK_TIMEOUT, Backlog::look(instruments)).await };
        let look = async { look.await.ok().flatten() };
        let backlog = instruments.backlog.get(look, count_holds).await;
        let tried = instruments.tried_letters().await;
        let _encoding = instruments
            .encoding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        instruments.set_gauges(&readiness, backlog.as_ref(), tried.as_ref());
        let mut text = String::new();
        prometheus_text::encode(&mut text, &instruments.registry)
            .expect("a String takes whatever is written");
        text
    }
}

fn count_holds<T>(read: &Option<T>, took: Duration) -> Duration {
    let [least, most] = COUNT_HOLDS;
    match read {
        Some(_) => (took * COUNT_SHARE).clamp(least, most),
        // It took long because the database did not answer.
        None => least,
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Monitor").field(&self.0.queue).finish()
    }
}

impl Instruments {
    /// Reads the letters that were tried lately, as seldom as the backlog. `None` if the database does
    /// not answer or accepted attempts are not recorded.
    async fn tried_letters(&self) -> Option<TriedLetters> {
        if !matches!(self.attempt_log, AttemptLog::All(_)) {
            return None;
        }
        let look = async {
            let mut connection = self.database.acquire().await?;
            worker::tried_letters(&mut connection, self.guestlist.now()).await
        };
        let look = async { timeout(CHECK_TIMEOUT, look).await.ok()?.ok() };
        self.tried_letters.get(look, count_holds).await
    }

    fn set_gauges(
        &self,
        readiness: &Readiness,
        backlog: Option<&Backlog>,
        tried: Option<&TriedLetters>,
    ) {
        let gauges = &self.gauges;
        gauges.checks.clear();
        for check in &readiness.checks {
            let gauge = gauges.checks.get_or_create_owned(&[("check", check.name)]);
            gauge.set(i64::from(check.problem.is_none()));
        }
        gauges.skew.clear();
        if let Some(skew) = readiness.skew {
            gauges.skew.get_or_create_owned(&[]).set(skew);
        }
        let is_resting = self.mailer.state() != BreakerState::Closed;
        gauges.resting.set(i64::from(is_resting));
        let is_refused = self.mailer.paused().is_some();
        gauges.sender_refused.set(i64::from(is_refused));
        for (gauge, value) in [
            (&gauges.tried_letters, tried.map(|tried| tried.letters)),
            (&gauges.deferred_letters, tried.map(|tried| tried.deferred)),
            (
                &gauges.deferred_domains,
                tried.map(|tried| tried.deferred_domains),
            ),
        ] {
            gauge.clear();
            if let Some(value) = value {
                gauge.get_or_create_owned(&[]).set(value);
            }
        }
        gauges.messages.clear();
        gauges.oldest.clear();
        if let Some(backlog) = backlog {
            backlog.show(self.guestlist.now(), &gauges.messages, &gauges.oldest);
        }
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "check_ok",
            "1 if a check of readiness passes, else 0; no series if the result is unknown",
            self.checks.clone(),
        );
        registry.register_with_unit(
            "clock_skew",
            "Lead of this machine's clock over the database's; beyond 30 in either direction the worker stops working",
            Unit::Seconds,
            self.skew.clone(),
        );
        registry.register(
            "outbox_messages",
            "Messages in the outbox by kind and state; at most 100000 live and 100000 dead ones are counted",
            self.messages.clone(),
        );
        registry.register_with_unit(
            "outbox_oldest_due_age",
            "Age of the oldest due message of a lane, leased or not, since it was first due; a wait that the recipient's mail server asked for does not count; 0 if none is due",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register(
            "mailer_resting",
            "1 while the circuit breaker stops letters or lets one try, after a failure of the mail server or of the configuration",
            self.resting.clone(),
        );
        registry.register(
            "mailer_sender_refused",
            "1 while the mail server refuses our credentials, sender address or reputation, and a person has to repair that",
            self.sender_refused.clone(),
        );
        registry.register(
            "recently_tried_letters",
            "Letters tried in the last 30 minutes, of the newest 5000 attempts of all workers; left out if accepted attempts are not recorded",
            self.tried_letters.clone(),
        );
        registry.register(
            "recently_deferred_letters",
            "Recently tried letters whose latest attempt was deferred or throttled",
            self.deferred_letters.clone(),
        );
        registry.register(
            "recently_deferred_domains",
            "Domains of the recipients of recently deferred letters",
            self.deferred_domains.clone(),
        );
    }
}

/// Exposes the counters of the queue, which counts by itself.
#[derive(Debug)]
struct QueueStatus(Queue);

impl Collector for QueueStatus {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let status = self.0.status();
        let counters = [
            (
                "queue_worker_restarts",
                "Restarts of queue workers by the supervisor.",
                status.restarts,
            ),
            (
                "queue_reconnects",
                "Connections to Redis opened in place of failed ones.",
                status.reconnects,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let descriptor = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(descriptor)?;
        }
        let running = ConstGauge::new(status.running as u64);
        let help = "Jobs running now.";
        let descriptor =
            encoder.encode_descriptor("queue_running", help, None, running.metric_type())?;
        running.encode(descriptor)
    }
}

//! The worker: relay, queue, jobs and scheduler, started and stopped together.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use guestlist::Ticket;
use guestlist::outbox::{self, Interrupted, Message};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, error, info, warn};

use crate::attempt_log::AttemptLog;
use crate::context::Context;
use crate::delivery::{Delivery, JOBS_A_CONNECTION};
use crate::job::{self, Jobs, Retention};
use crate::leases::{Held, Leases};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::panic_text::panic_text;
use crate::queue::{Concurrency, Drained, Lane, Queue};
use crate::rate::Rate;
use crate::rate_limiter::RateLimiter;
use crate::relay::{Relay, Rounds, Waker};
use crate::restart_on_panic::restart_on_panic;
use crate::scheduler::Scheduler;
use crate::settle::Settler;
use crate::skew::DatabaseClock;
use crate::suspects::{Admission, Suspects};
use crate::trace;
use crate::worker_id::worker_id;

/// The settings of a worker.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Settings {
    /// The number of letters sent at the same time, and so of connections to the mail server. Four
    /// times as many jobs read, render, send and record letters.
    pub letters: usize,
    /// The time that running jobs have to finish after the signal to stop.
    pub drain: Duration,
    /// The time before expiry at which an invitee is reminded; `None` sends no reminders.
    pub reminder: Option<Duration>,
    /// The time for which events and closed invitations are kept; `None` keeps them for ever.
    pub retention: Option<Duration>,
    /// The attempts to send letters that are recorded.
    pub attempt_log: AttemptLog,
    /// The maximum number of letters a second, over all workers of a queue on Redis; `None` sets no
    /// limit.
    pub rate: Option<Rate>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            letters: 16,
            drain: Duration::from_secs(25),
            reminder: Some(Duration::from_secs(2 * 24 * 60 * 60)),
            retention: Some(Duration::from_secs(400 * 24 * 60 * 60)),
            attempt_log: AttemptLog::default(),
            rate: None,
        }
    }
}

/// The number of purges of sessions that run at the same time.
const URGENT_SLOTS: usize = 4;

/// The time limit of each step of the shutdown after the jobs are drained. All four steps fit
/// between the default drain time and the 30 s after which most platforms kill the process.
const PART_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval at which a worker that stops when idle checks whether it is idle.
const IDLE_CHECK: Duration = Duration::from_millis(50);

/// Delivers the messages of the outbox, in the host's process or in one of its own.
pub struct Worker {
    context: Context,
    queue: Queue,
    settings: Settings,
    metrics: Metrics,
    rounds: Rounds,
    waker: Waker,
}

impl Worker {
    /// Creates a worker that takes its dispatches from `queue`.
    pub fn new(context: Context, queue: Queue, settings: Settings) -> Self {
        Self {
            context,
            queue,
            settings,
            metrics: Metrics::new(Lane::ALL.map(Lane::name)),
            rounds: Rounds::default(),
            waker: Waker::default(),
        }
    }

    /// Returns the readiness and the metrics of this worker, usable while it runs and afterwards. A
    /// host that runs the worker in its own process serves them as it likes.
    pub fn monitor(&self) -> Monitor {
        Monitor::new(
            &self.context,
            self.queue.clone(),
            &self.metrics,
            self.rounds.clone(),
            self.settings.attempt_log,
        )
    }

    /// Returns the waker that a host with the worker in its own process calls after its commit, so
    /// that the worker looks for messages at once.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Works until `stop`, then leases nothing more, finishes the running jobs, settles them and
    /// returns.
    ///
    /// Jobs that do not finish within the drain time are cut off, and their leases are released. The
    /// mail server may have accepted a letter whose end was sent, so the lease of such a letter is kept
    /// until it expires.
    pub async fn run(self, stop: CancellationToken) -> Drained {
        let clock = self.clock();
        clock.set().await;
        let scheduler = self.scheduler(&clock);
        let limiter = self.settings.rate.map(|rate| self.queue.rate_limiter(rate));
        let relay = Relay {
            context: self.context.clone(),
            queue: self.queue.clone(),
            clock: clock.clone(),
            metrics: self.metrics.clone(),
            rounds: self.rounds.clone(),
            waker: self.waker.clone(),
            most_waiting: limiter
                .as_ref()
                .map_or(usize::MAX, RateLimiter::most_waiting),
        };
        let database = self.context.database.clone();
        let leases = Leases::new(database.clone(), clock.clone());
        let (settler, settling) = Settler::new(database, clock.clone(), self.settings.attempt_log);
        let mut settling = tokio::spawn(self.restart_on_panic(
            "settler",
            CancellationToken::new(),
            move || settling.clone().run(),
        ));
        // Dropping this future ends every task it started, as the end of the process would.
        let mut renewal = JoinSet::new();
        let renewing = leases.clone();
        renewal.spawn(
            self.restart_on_panic("renewal", CancellationToken::new(), move || {
                renewing.clone().renew()
            }),
        );
        let mut background = JoinSet::new();
        let stopping = stop.clone();
        background.spawn(self.restart_on_panic("relay", stop.clone(), move || {
            relay.clone().run(stopping.clone())
        }));
        let stopping = stop.clone();
        background.spawn(self.restart_on_panic("scheduler", stop.clone(), move || {
            scheduler.clone().run(stopping.clone())
        }));
        info!(worker = worker_id(), "working");
        let held = leases.clone();
        let drained = self.dispatch(leases, settler, clock, limiter, stop).await;
        let ending = async {
            while let Some(ended) = background.join_next().await {
                if let Err(failure) = ended {
                    error!(%failure, "a background task of the worker failed: {failure}");
                }
            }
        };
        within_shutdown_timeout("the relay and the scheduler did not stop", ending).await;
        self.release(&self.queue.take_unstarted(), &held.take_cut_off())
            .await;
        // Finished jobs waited for their commit, so only outcomes of jobs that were cut off are left.
        if tokio::time::timeout(PART_SHUTDOWN_TIMEOUT, &mut settling)
            .await
            .is_err()
        {
            settling.abort();
        }
        within_shutdown_timeout(
            "the connections to the mail server were not closed",
            self.context.mailer.close(),
        )
        .await;
        drained
    }

    /// Works until no message is due or leased and no invitation is overdue.
    ///
    /// # Errors
    /// The database did not answer whether anything is due.
    pub async fn run_until_idle(
        self,
        stop: CancellationToken,
    ) -> Result<Drained, guestlist::Error> {
        let (context, clock) = (self.context.clone(), self.clock());
        clock.set().await;
        self.scheduler(&clock).sweep(&stop).await?;
        let done = stop.child_token();
        let running = self.run(done.clone());
        let watching = async {
            while !done.is_cancelled() {
                tokio::time::sleep(IDLE_CHECK).await;
                let mut connection = context.database.acquire().await?;
                if outbox::is_idle(&mut connection, clock.now()).await? {
                    done.cancel();
                }
            }
            Ok::<(), guestlist::Error>(())
        };
        let watching = async {
            let watched = watching.await;
            done.cancel();
            watched
        };
        let (drained, watched) = tokio::join!(running, watching);
        watched.map(|()| drained)
    }

    fn clock(&self) -> DatabaseClock {
        DatabaseClock::new(
            self.context.guestlist.clone(),
            self.context.database.clone(),
        )
    }

    fn restart_on_panic<F: Future<Output = ()> + Send + 'static>(
        &self,
        part: &'static str,
        stop: CancellationToken,
        start: impl Fn() -> F + Send + Sync + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        restart_on_panic(part, self.metrics.restarts_of(part), stop, start)
    }

    fn scheduler(&self, clock: &DatabaseClock) -> Scheduler {
        Scheduler {
            context: self.context.clone(),
            reminder: self.settings.reminder,
            retention: Retention {
                history: self.settings.retention,
                letters: guestlist::Limits::MAX_WINDOW,
                attempts: self.settings.attempt_log.retention(),
            },
            clock: clock.clone(),
        }
    }

    /// Runs the queue, each dispatch through [`handle`], until it is drained.
    async fn dispatch(
        &self,
        leases: Leases,
        settler: Settler,
        clock: DatabaseClock,
        limiter: Option<RateLimiter>,
        stop: CancellationToken,
    ) -> Drained {
        let concurrency = Concurrency::ONE
            .urgent(URGENT_SLOTS)
            .letters(self.settings.letters.saturating_mul(JOBS_A_CONNECTION));
        let context = self.context.clone();
        let delivery = Delivery::new(
            &context,
            limiter,
            self.metrics.clone(),
            self.settings.letters,
            stop.clone(),
        );
        let suspects = Suspects::new(context.database.clone());
        let jobs = Jobs::new(context, delivery, self.metrics.clone());
        let dispatches = Arc::new(DispatchHandler {
            jobs,
            leases,
            suspects,
            settler,
            metrics: self.metrics.clone(),
        });
        let handler = move |lane, dispatch: Ticket| {
            let dispatches = Arc::clone(&dispatches);
            let is_skewed = clock.is_too_skewed();
            async move {
                if !is_skewed {
                    dispatches.handle(lane, dispatch).await;
                }
            }
            .boxed()
        };
        self.queue
            .run(concurrency, handler, stop, self.settings.drain)
            .await
    }

    /// Releases the leases of dispatches that were fetched and not started, and of jobs that were cut
    /// off, so that another worker can run them now.
    async fn release(&self, unstarted: &[Ticket], cut_off: &[Interrupted]) {
        let released = async {
            let mut connection = self.context.database.acquire().await?;
            outbox::release(&mut connection, unstarted).await?;
            outbox::interrupt(&mut connection, cut_off).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(PART_SHUTDOWN_TIMEOUT, released).await {
            warn!(
                %error,
                "leases of jobs that were not started or not finished could not be released; the jobs \
                 run when their leases expire: {error}"
            );
        }
    }
}

async fn within_shutdown_timeout(otherwise: &str, part: impl Future<Output = ()>) {
    if tokio::time::timeout(PART_SHUTDOWN_TIMEOUT, part)
        .await
        .is_err()
    {
        warn!(
            "{otherwise} within {} s; the worker stops without waiting longer",
            PART_SHUTDOWN_TIMEOUT.as_secs()
        );
    }
}

/// The dependencies of handling a dispatch.
struct DispatchHandler {
    jobs: Jobs,
    leases: Leases,
    suspects: Suspects,
    settler: Settler,
    metrics: Metrics,
}

impl DispatchHandler {
    /// Takes a dispatched message, runs its job and settles it. After a failure before the job, the
    /// message is dispatched again when its lease expires.
    async fn handle(&self, lane: Lane, dispatch: Ticket) {
        let (message, held) = match self.leases.take(dispatch).await {
            Ok(Some(taken)) => taken,
            Ok(None) => return,
            Err(error) => {
                warn!(
                    id = %dispatch.message,
                    generation = dispatch.generation,
                    %error,
                    "a dispatched message could not be read; it is dispatched again when its \
                     lease expires: {error}"
                );
                return;
            }
        };
        let admission = match self.suspects.admit(lane, &message).await {
            Ok(admission) => admission,
            Err(error) => {
                warn!(
                    id = %dispatch.message,
                    %error,
                    "the start of a job whose lease expired before could not be counted; it is dispatched \
                     again when its lease expires: {error}"
                );
                return;
            }
        };
        let _alone = match admission {
            Admission::Run(alone) => alone,
            Admission::Settle(next) => {
                return self.settler.settle(message, held, next.into()).await;
            }
        };
        let span = trace::job(&message);
        self.work(message, held, &span)
            .instrument(span.clone())
            .await;
    }

    /// Runs the job of a message and settles it, within its span.
    async fn work(&self, message: Message, held: Held, span: &Span) {
        let began = Instant::now();
        // Boxed because the futures around it would move its kilobytes at each of their steps.
        let job = Box::pin(self.jobs.run(&message, &held));
        let outcome = AssertUnwindSafe(job).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|panic| {
            let why = format!("the job panicked: {}", panic_text(&*panic));
            error!(id = %message.id, kind = message.kind, "{why}");
            job::failed(&message, &why)
        });
        trace::ended(span, &outcome.next);
        let (took, ended) = (began.elapsed(), outcome.next.run_outcome());
        let kind = message.kind.clone();
        self.settler.settle(message, held, outcome).await;
        self.metrics.ran(&kind, ended, took);
    }
}

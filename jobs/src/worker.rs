//! The worker: relay, queue, jobs and scheduler, started and stopped together.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use guestlist::outbox;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::context::Context;
use crate::job::{self, Retention};
use crate::leases::Leases;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::queue::{Concurrency, Dispatch, Drained, Lane, Queue, panic_text};
use crate::relay::{Relay, Rounds};
use crate::scheduler::Scheduler;
use crate::settle::Settler;

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many letters are at work at a time, and so how many connections to the mail server.
    pub letters: usize,
    /// How long running jobs may take to finish after the signal to stop.
    pub drain: Duration,
    /// How long before expiry an invitee is reminded; `None` never.
    pub reminder: Option<Duration>,
    /// How long events and closed invitations are kept; `None` for ever.
    pub retention: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            letters: 16,
            drain: Duration::from_secs(25),
            reminder: Some(Duration::from_secs(2 * 24 * 60 * 60)),
            retention: Some(Duration::from_secs(400 * 24 * 60 * 60)),
        }
    }
}

/// How many purges of sessions are at work at a time.
const URGENT_SLOTS: usize = 4;

/// How long each part of the farewell may take once the jobs are drained: all four fit between
/// the default drain time and the 30 s after which most platforms kill.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often a worker that stops when idle looks whether it is.
const IDLE_CHECK: Duration = Duration::from_millis(50);

/// Delivers what the outbox promises, in the host's process or in one of its own.
pub struct Worker {
    context: Context,
    queue: Queue,
    settings: Settings,
    metrics: Metrics,
    rounds: Rounds,
}

impl Worker {
    /// A worker that takes its dispatches from `queue`.
    pub fn new(context: Context, queue: Queue, settings: Settings) -> Self {
        Self {
            context,
            queue,
            settings,
            metrics: Metrics::new(Lane::ALL.map(Lane::name)),
            rounds: Rounds::default(),
        }
    }

    /// What shows whether this worker is well and what it did, while it works and afterwards. A
    /// host that runs the worker in its own process serves it as it likes.
    pub fn monitor(&self) -> Monitor {
        Monitor::new(
            &self.context,
            self.queue.clone(),
            &self.metrics,
            self.rounds.clone(),
        )
    }

    /// Works until `stop`, then leases nothing more, finishes what runs, settles it and returns.
    ///
    /// What does not finish within the drain time is cut off; its lease lapses and it is done
    /// again elsewhere.
    pub async fn run(self, stop: CancellationToken) -> Drained {
        let stands_down = Arc::new(AtomicBool::new(false));
        let scheduler = self.scheduler(&stands_down);
        let relay = Relay {
            context: self.context.clone(),
            queue: self.queue.clone(),
            stands_down: Arc::clone(&stands_down),
            metrics: self.metrics.clone(),
            rounds: self.rounds.clone(),
        };
        scheduler.look_at_the_clock().await;
        let (database, library) = (self.context.database.clone(), self.context.library.clone());
        let leases = Leases::new(database.clone(), library.clone());
        let (settler, mut settling) = Settler::start(database, library);
        // Dropping this future ends everything it started, as the end of the process would.
        let mut renewal = JoinSet::new();
        renewal.spawn(leases.clone().renew());
        let mut background = JoinSet::new();
        background.spawn(relay.run(stop.clone()));
        background.spawn(scheduler.run(stop.clone()));
        info!("working");
        let drained = self.dispatch(leases, settler, stands_down, stop).await;
        let ending = async {
            while let Some(ended) = background.join_next().await {
                if let Err(failure) = ended {
                    error!(%failure, "a part of the worker failed: {failure}");
                }
            }
        };
        within_farewell("the relay and the scheduler did not end", ending).await;
        self.give_back().await;
        // Finished jobs waited for their commit, so only those that were cut off are left.
        if tokio::time::timeout(FAREWELL, &mut settling).await.is_err() {
            settling.abort();
        }
        within_farewell(
            "the mail server did not take leave",
            self.context.mailer.close(),
        )
        .await;
        drained
    }

    /// Works until no message is due or in anybody's hands and no invitation is overdue.
    ///
    /// # Errors
    /// The database's, when it cannot be asked whether anything is due.
    pub async fn run_until_idle(
        self,
        stop: CancellationToken,
    ) -> Result<Drained, guestlist::Error> {
        let (context, scheduler) = (
            self.context.clone(),
            self.scheduler(&Arc::new(AtomicBool::new(false))),
        );
        scheduler.sweep(&stop).await?;
        let done = stop.child_token();
        let running = self.run(done.clone());
        let watching = async {
            while !done.is_cancelled() {
                tokio::time::sleep(IDLE_CHECK).await;
                let mut connection = context.database.acquire().await?;
                if outbox::unsettled(&mut connection, context.library.now()).await? == 0 {
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

    fn scheduler(&self, stands_down: &Arc<AtomicBool>) -> Scheduler {
        Scheduler {
            context: self.context.clone(),
            reminder: self.settings.reminder,
            retention: Retention {
                history: self.settings.retention,
                letters: guestlist::Limits::MAX_WINDOW,
            },
            stands_down: Arc::clone(stands_down),
        }
    }

    /// Runs the queue, each dispatch through [`handle`], until it is drained.
    async fn dispatch(
        &self,
        leases: Leases,
        settler: Settler,
        stands_down: Arc<AtomicBool>,
        stop: CancellationToken,
    ) -> Drained {
        let concurrency = Concurrency {
            urgent: URGENT_SLOTS,
            letters: self.settings.letters,
        };
        let bench = Bench {
            context: self.context.clone(),
            leases,
            settler,
            metrics: self.metrics.clone(),
        };
        let handler = move |_lane, dispatch: Dispatch| {
            let bench = bench.clone();
            let stands_down = stands_down.load(Ordering::Relaxed);
            async move {
                if !stands_down {
                    bench.handle(dispatch).await;
                }
            }
            .boxed()
        };
        self.queue
            .run(concurrency, handler, stop, self.settings.drain)
            .await
    }

    /// Gives back the leases of what was fetched and not started, so that it is due elsewhere now.
    async fn give_back(&self) {
        let unstarted = self.queue.take_unstarted();
        let leases: Vec<_> = unstarted
            .iter()
            .map(|dispatch| (dispatch.message.into(), dispatch.generation))
            .collect();
        let released = async {
            let mut connection = self.context.database.acquire().await?;
            outbox::release(&mut connection, &leases).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(FAREWELL, released).await {
            warn!(%error, "leases were not given back and lapse by themselves: {error}");
        }
    }
}

async fn within_farewell(otherwise: &str, part: impl Future<Output = ()>) {
    if tokio::time::timeout(FAREWELL, part).await.is_err() {
        warn!("{otherwise} in time");
    }
}

/// What handling a dispatch takes.
#[derive(Clone)]
struct Bench {
    context: Context,
    leases: Leases,
    settler: Settler,
    metrics: Metrics,
}

impl Bench {
    /// Takes a dispatched message, runs its job and settles it. Whatever goes wrong before the job
    /// leaves the message to its lease.
    async fn handle(&self, dispatch: Dispatch) {
        let taken = self
            .leases
            .take(dispatch.message.into(), dispatch.generation)
            .await;
        let (message, held) = match taken {
            Ok(Some(taken)) => taken,
            Ok(None) => return,
            Err(error) => {
                warn!(%error, "a dispatched message could not be read: {error}");
                return;
            }
        };
        let began = Instant::now();
        let job = job::run(&self.context, &self.metrics, &message, &held);
        let outcome = AssertUnwindSafe(job).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|panic| {
            let why = format!("the job panicked: {}", panic_text(&*panic));
            error!(id = %message.id, kind = message.kind, "{why}");
            job::failed(&message, &why)
        });
        let (took, ended) = (began.elapsed(), outcome.next.run_outcome());
        let kind = message.kind.clone();
        self.settler.settle(message, held, outcome).await;
        self.metrics.ran(&kind, ended, took);
    }
}

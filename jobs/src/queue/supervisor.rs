//! The supervisor keeps a worker of each lane alive, and the janitor keeps Redis tidy.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::join};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use uuid::Uuid;

use super::{
    Concurrency, Drained, Handler, Lane, Lanes, Queue, Transport, apalis_worker,
    backoff::Backoff,
    runner::{Runner, shown},
    store::Store,
};

/// A worker that lived this long was well; its next failure starts the back-off afresh.
const WELL: Duration = Duration::from_secs(5);

/// How often the janitor sweeps; under load the relay's counting sweeps more often than that.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// How long the last tidying may take, so that a dead Redis delays no shutdown.
const CLEANUP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// One run of a queue's workers.
struct WorkerSet {
    transport: Transport,
    runners: Lanes<Runner>,
    slots: Lanes<usize>,
    handlers: TaskTracker,
    live: Mutex<Vec<(Lane, String)>>,
    stop: CancellationToken,
}

pub(super) async fn run(
    queue: &Queue,
    concurrency: Concurrency,
    handler: Handler,
    stop: CancellationToken,
    drain: Duration,
) -> Drained {
    let abandon = CancellationToken::new();
    let _dropped_run_abandons = abandon.clone().drop_guard();
    let workers = WorkerSet::new(queue, concurrency, &handler, &abandon, &stop);
    let tidied = CancellationToken::new();
    let work = async {
        let drained = workers.work(&abandon, drain).await;
        tidied.cancel();
        drained
    };
    let (drained, ()) = join(work, workers.tidy_until(&tidied)).await;
    drained
}

impl WorkerSet {
    fn new(
        queue: &Queue,
        concurrency: Concurrency,
        handler: &Handler,
        abandon: &CancellationToken,
        stop: &CancellationToken,
    ) -> Self {
        let slots = Lanes {
            urgent: concurrency.urgent.max(1),
            letters: concurrency.letters.max(1),
        };
        let handlers = TaskTracker::new();
        let runners = Lanes::each(|lane| {
            let slots = *slots.of(lane);
            let liveness = Arc::clone(queue.liveness.of(lane));
            liveness.set_slots(slots);
            Runner {
                lane,
                handler: Arc::clone(handler),
                liveness,
                unstarted: Arc::clone(&queue.unstarted),
                slots: Arc::new(Semaphore::new(slots)),
                handlers: handlers.clone(),
                stop: stop.clone(),
                abandon: abandon.clone(),
            }
        });
        Self {
            transport: queue.transport.clone(),
            runners,
            slots,
            handlers,
            live: Mutex::default(),
            stop: stop.clone(),
        }
    }

    /// Works until the stop, then lets handlers finish until the drain time is over.
    async fn work(&self, abandon: &CancellationToken, drain: Duration) -> Drained {
        let time_is_up = async {
            self.stop.cancelled().await;
            sleep(drain).await;
        }
        .shared();
        // The workers acknowledge what finishes, so they come first.
        tokio::select! {
            _ = join(self.supervise(Lane::Urgent), self.supervise(Lane::Letters)) => {}
            () = time_is_up.clone() => {}
        }
        self.handlers.close();
        tokio::select! {
            biased;
            () = self.handlers.wait() => return Drained { abandoned: 0 },
            () = time_is_up => {}
        }
        let abandoned = self.handlers.len();
        abandon.cancel();
        let _ = timeout(CLEANUP_SHUTDOWN_TIMEOUT, self.handlers.wait()).await;
        tracing::warn!(abandoned, "{abandoned} handlers outlasted the drain time");
        Drained { abandoned }
    }

    /// Starts worker after worker until the stop.
    async fn supervise(&self, lane: Lane) {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let born = Instant::now();
            let ended = self.live_once(lane, backoff.failures() > 0).await;
            if self.stop.is_cancelled() {
                return;
            }
            if born.elapsed() > WELL {
                backoff.reset();
            }
            let wait = backoff.next_wait();
            self.runners.of(lane).liveness.restarted();
            if backoff.is_worth_a_line() {
                let reason = ended.err().unwrap_or_else(|| "it ended by itself".into());
                tracing::warn!(
                    lane = lane.name(),
                    failures = backoff.failures(),
                    "the {lane} worker is started again: {reason}"
                );
            }
            let _ = timeout(wait, self.stop.cancelled()).await;
        }
    }

    /// One worker from its birth to its burial.
    async fn live_once(&self, lane: Lane, after_failure: bool) -> Result<(), String> {
        let liveness = &self.runners.of(lane).liveness;
        let name = Uuid::now_v7().to_string();
        self.live().push((lane, name.clone()));
        let worker = self.worker(lane, name.clone());
        // A task of its own, so that a panic inside apalis is a failure like any other.
        let mut worker = AbortOnDropHandle::new(tokio::spawn(worker));
        let ended = tokio::select! {
            ended = &mut worker => ended,
            () = liveness.next_poll(), if after_failure => {
                tracing::info!(lane = lane.name(), "the {lane} worker polls again");
                worker.await
            }
        };
        liveness.stopped();
        self.live().retain(|(_, live)| *live != name);
        self.remove_workers(lane, &[name]).await;
        ended.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn worker(&self, lane: Lane, name: String) -> apalis_worker::Run {
        let (slots, runner) = (*self.slots.of(lane), self.runners.of(lane).clone());
        match &self.transport {
            Transport::Redis(store) => {
                apalis_worker::on_redis(store.connection(), store.queue(lane), name, slots, runner)
            }
            Transport::Memory(memory) => {
                apalis_worker::on_memory(Arc::clone(memory), name, slots, runner)
            }
        }
    }

    /// The janitor: sweeps until told to end, then tidies up after this workers.
    async fn tidy_until(&self, end: &CancellationToken) {
        let Transport::Redis(store) = &self.transport else {
            return end.cancelled().await;
        };
        while timeout(SWEEP_EVERY, end.cancelled()).await.is_err() {
            for lane in Lane::ALL {
                self.tidy(store, lane).await;
            }
        }
        let farewell = async {
            for lane in Lane::ALL {
                let names = self.names(lane);
                self.live().retain(|(of, _)| *of != lane);
                self.remove_workers(lane, &names).await;
                self.tidy(store, lane).await;
            }
        };
        let _ = timeout(CLEANUP_SHUTDOWN_TIMEOUT, farewell).await;
    }

    async fn tidy(&self, store: &Store, lane: Lane) {
        loop {
            match store.sweep(lane, &self.names(lane)).await {
                Ok(swept) => {
                    if swept.is_torn || !swept.dead_workers.is_empty() {
                        self.remove_workers(lane, &swept.dead_workers).await;
                    }
                    if !swept.more {
                        return;
                    }
                }
                // The supervisor says it aloud.
                Err(error) => return tracing::debug!(%error, "the janitor could not sweep"),
            }
        }
    }

    /// Buries workers and mends their lane; what fails now, the next sweep finds.
    async fn remove_workers(&self, lane: Lane, workers: &[String]) {
        let Transport::Redis(store) = &self.transport else {
            return;
        };
        let Ok(mended) = store.mend(lane, workers).await else {
            return;
        };
        for id in &mended.broken {
            let task = shown(id);
            tracing::error!(
                task,
                lane = lane.name(),
                "dropped a broken queue entry {task}"
            );
        }
        if mended.buried + mended.orphans > 0 {
            tracing::warn!(
                lane = lane.name(),
                buried = mended.buried,
                orphans = mended.orphans,
                "dropped dispatches of dead workers and lost keys; their leases bring them back"
            );
        }
    }

    fn names(&self, lane: Lane) -> Vec<String> {
        let live = self.live();
        live.iter()
            .filter(|(of, _)| *of == lane)
            .map(|(_, name)| name.clone())
            .collect()
    }

    fn live(&self) -> MutexGuard<'_, Vec<(Lane, String)>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

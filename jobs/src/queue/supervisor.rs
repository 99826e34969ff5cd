//! Restarts the worker of each lane after it ends, and cleans up Redis.

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
    Concurrency, Drained, Handler, Lane, Lanes, Queue, Transport, apalis_worker, runner::Runner,
    store::Store,
};
use crate::back_off::BackOff;

/// The back-off of a worker that ended.
const BACK_OFF: BackOff = BackOff {
    first: Duration::from_millis(50),
    longest: Duration::from_secs(1),
};

/// The running time after which the next failure of a worker starts the back-off from the beginning.
const RESET_BACK_OFF_AFTER: Duration = Duration::from_secs(5);

/// The interval between two sweeps; under load the relay sweeps more often when it counts.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// The time limit of each clean-up at the end, so that a dead Redis does not delay the shutdown.
const CLEANUP_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The workers of one run of a queue.
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
    let cleaned_up = CancellationToken::new();
    let work = async {
        let drained = workers.work(&abandon, drain).await;
        cleaned_up.cancel();
        drained
    };
    let (drained, ()) = join(work, workers.clean_up_until(&cleaned_up)).await;
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
                junk_log: Arc::clone(&queue.junk_log),
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

    /// Runs the workers until the stop, then waits for handlers until the drain time is over.
    async fn work(&self, abandon: &CancellationToken, drain: Duration) -> Drained {
        let time_is_up = async {
            self.stop.cancelled().await;
            sleep(drain).await;
        }
        .shared();
        // The workers acknowledge finished dispatches, so they end first.
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
        tracing::warn!(
            abandoned,
            "{abandoned} jobs did not finish within the drain time and were cut off; they run \
             again when their leases expire"
        );
        Drained { abandoned }
    }

    /// Runs a worker, and the next one after it ended, until the stop.
    async fn supervise(&self, lane: Lane) {
        let mut failures: u32 = 0;
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            let ended = self.run_worker(lane, failures > 0).await;
            if self.stop.is_cancelled() {
                return;
            }
            if started.elapsed() > RESET_BACK_OFF_AFTER {
                failures = 0;
            }
            failures = failures.saturating_add(1);
            self.runners.of(lane).liveness.restarted();
            if is_logged(failures) {
                let reason = ended.err().unwrap_or_else(|| "it ended by itself".into());
                tracing::warn!(
                    lane = lane.name(),
                    failures,
                    "the {lane} worker is started again: {reason}"
                );
            }
            let _ = timeout(BACK_OFF.after(failures), self.stop.cancelled()).await;
        }
    }

    /// Runs one worker and removes it after it ended.
    async fn run_worker(&self, lane: Lane, after_failure: bool) -> Result<(), String> {
        let liveness = &self.runners.of(lane).liveness;
        let name = Uuid::now_v7().to_string();
        self.live().push((lane, name.clone()));
        let worker = self.worker(lane, name.clone());
        // The worker runs in its own task, so that a panic inside apalis is handled as a failure.
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
        self.remove_workers(lane, &[name.into_bytes()]).await;
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

    /// Sweeps until `end`, then removes the workers of this process.
    async fn clean_up_until(&self, end: &CancellationToken) {
        let Transport::Redis(store) = &self.transport else {
            return end.cancelled().await;
        };
        while timeout(SWEEP_EVERY, end.cancelled()).await.is_err() {
            for lane in Lane::ALL {
                self.sweep(store, lane).await;
            }
            store.junk_log.flush();
        }
        let clean_up = async {
            for lane in Lane::ALL {
                let names: Vec<_> = self
                    .names(lane)
                    .into_iter()
                    .map(String::into_bytes)
                    .collect();
                self.live().retain(|(of, _)| *of != lane);
                self.remove_workers(lane, &names).await;
                self.sweep(store, lane).await;
            }
        };
        let _ = timeout(CLEANUP_SHUTDOWN_TIMEOUT, clean_up).await;
    }

    async fn sweep(&self, store: &Store, lane: Lane) {
        loop {
            match store.sweep(lane, &self.names(lane)).await {
                Ok(swept) => {
                    if swept.is_inconsistent || !swept.dead_workers.is_empty() {
                        self.remove_workers(lane, &swept.dead_workers).await;
                    }
                    if !swept.more {
                        return;
                    }
                }
                // The supervisor logs the failure as a warning when a worker ends because of it.
                Err(error) => {
                    return tracing::debug!(%error, "finished dispatches could not be deleted: {error}");
                }
            }
        }
    }

    /// Removes workers and repairs their lane. After a failure the next sweep finds the rest.
    async fn remove_workers(&self, lane: Lane, workers: &[Vec<u8>]) {
        let Transport::Redis(store) = &self.transport else {
            return;
        };
        if let Err(error) = store.repair(lane, workers).await {
            tracing::debug!(%error, "the lane {lane} could not be repaired: {error}");
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

/// Returns true for the 1st, 2nd, 4th, 8th … failure in a row, so that an outage of an hour logs a
/// dozen lines.
fn is_logged(failures: u32) -> bool {
    failures.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_an_hour_logs_a_dozen_lines() {
        let failures = 1..=3_600;
        assert_eq!(failures.filter(|failures| is_logged(*failures)).count(), 12);
    }
}

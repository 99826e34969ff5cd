//! An apalis worker of one lane. No other file imports apalis.
//!
//! This file works around these faults of apalis: its own poll strategies lose wake-ups, a codec
//! that fails ends the worker, a reused worker name is refused, tasks fetched but not started are
//! taken by other workers, and a stopping worker does not read its acknowledgements.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis::prelude::{
    BackendExt, Codec, ParallelizeExt, PollSnapshot, PollStrategy, TaskId, WorkerBuilder,
    WorkerBuilderExt, WorkerError,
};
use apalis_redis::{Config, RedisStorage};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::{Instant, Sleep, sleep},
};

use super::{lane_liveness::LaneLiveness, memory::Memory, payload::Payload, runner::Runner};
use crate::redis_connection::RedisConnection;

/// A running worker. It ends with `Ok` after the stop of its runner, or earlier with the reason.
pub(super) type Run = BoxFuture<'static, Result<(), String>>;

/// Runs a worker of the queue `queue` on Redis, registered under `name`, which must be new.
pub(super) fn on_redis(
    connection: RedisConnection,
    queue: &str,
    name: String,
    slots: usize,
    runner: Runner,
) -> Run {
    // apalis's channel of acknowledgements has room for four batches and is not read while a
    // stopping worker waits for its handlers. At the stop, all slots may be busy and one more batch
    // just fetched, none of them acknowledged. The stop hangs unless four batches have room for all
    // of these and one more. A larger batch would only keep dispatches from other processes.
    // The supervisor sends heartbeats for live workers and removes dead ones. apalis would deliver
    // the dispatches of a dead worker again under the same generation, so its own removal is put off
    // for a year.
    let config = Config::default()
        .queue(queue)
        .batch_size((slots + 1).div_ceil(3))
        .lock_tasks(false)
        .persist_results(true)
        .emit_events(false)
        .heartbeat_interval(Duration::from_secs(60))
        .missed_heartbeats(525_600);
    let storage = RedisStorage::<Payload, _>::new(connection)
        .with_config(config)
        .with_codec(Lenient)
        .poll_with_strategy(PollAfterWakeUp::new(Arc::clone(&runner.liveness)));
    let (handlers, stop) = (runner.handlers.clone(), runner.stop.clone());
    let worker = WorkerBuilder::new(name)
        .backend(storage)
        .concurrency(slots)
        .parallelize(move |handler| handlers.spawn(handler))
        .build(move |payload: Payload, task: TaskId| runner.clone().run(payload, task.to_string()));
    worker.run_until(stopped(stop)).map(reason).boxed()
}

/// Runs a worker that takes dispatches from this process's own list.
pub(super) fn on_memory(memory: Arc<Memory>, name: String, slots: usize, runner: Runner) -> Run {
    let dispatches = memory
        .take(runner.lane)
        .map(|dispatch| Ok::<_, Infallible>(Payload(Some(dispatch))))
        .boxed()
        .poll_with_strategy(PollAfterWakeUp::new(Arc::clone(&runner.liveness)));
    let (handlers, stop) = (runner.handlers.clone(), runner.stop.clone());
    let worker = WorkerBuilder::new(name)
        .backend(dispatches)
        .concurrency(slots)
        .parallelize(move |handler| handlers.spawn(handler))
        .build(move |payload: Payload, task: TaskId| runner.clone().run(payload, task.to_string()));
    worker.run_until(stopped(stop)).map(reason).boxed()
}

async fn stopped(stop: tokio_util::sync::CancellationToken) -> Result<(), WorkerError> {
    stop.cancelled().await;
    Ok(())
}

fn reason(ended: Result<(), WorkerError>) -> Result<(), String> {
    ended.map_err(|error| error.to_string())
}

/// A codec whose decoding never fails.
#[derive(Debug, Clone, Copy)]
struct Lenient;

impl Codec<Payload> for Lenient {
    type Error = Infallible;
    type Compact = Vec<u8>;

    fn encode(&self, payload: &Payload) -> Result<Vec<u8>, Infallible> {
        Ok(payload.0.map(Payload::encode).unwrap_or_default())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Payload, Infallible> {
        Ok(Payload::decode(bytes))
    }
}

/// A poll strategy that polls at once after a wake-up, soon after there was work, and every 100 ms
/// when idle.
///
/// A wake-up can arrive while an empty answer is on its way, so each one causes several polls, at
/// intervals that double from a millisecond. Both wakers are always polled until pending, because a
/// timer that is set but not polled wakes nothing.
struct PollAfterWakeUp {
    liveness: Arc<LaneLiveness>,
    wake_ups: Arc<Notify>,
    woken: Pin<Box<OwnedNotified>>,
    sleep: Pin<Box<Sleep>>,
    pause: Duration,
}

impl PollAfterWakeUp {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(100);

    fn new(liveness: Arc<LaneLiveness>) -> Self {
        let wake_ups = liveness.wake_ups();
        Self {
            woken: Box::pin(Arc::clone(&wake_ups).notified_owned()),
            sleep: Box::pin(sleep(Self::SHORTEST)),
            pause: Self::SHORTEST,
            liveness,
            wake_ups,
        }
    }

    fn poll_soon(&mut self) {
        self.pause = Self::SHORTEST;
        self.sleep.as_mut().reset(Instant::now() + self.pause);
    }
}

impl PollStrategy for PollAfterWakeUp {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        while self.woken.as_mut().poll(cx).is_ready() {
            self.woken = Box::pin(Arc::clone(&self.wake_ups).notified_owned());
            self.poll_soon();
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            self.pause = (self.pause * 2).min(Self::LONGEST);
            self.sleep.as_mut().reset(Instant::now() + self.pause);
        }
        Poll::Pending
    }

    fn on_poll(&mut self, snapshot: &PollSnapshot) {
        self.liveness.polled();
        if snapshot.consecutive_ready > 0 && self.pause > Self::SHORTEST {
            self.poll_soon();
        }
    }
}

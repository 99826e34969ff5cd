//! One apalis worker of one lane: the only file that names apalis.
//!
//! What apalis does wrong and this file works around: its own poll strategies lose wake-ups, a
//! codec that fails ends the worker, a reused worker name is refused, tasks fetched but not
//! started are stolen, and a stopping worker does not read its acknowledgements.

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

/// A worker that ends with `Ok` after its runner's stop, or early with the reason.
pub(super) type Run = BoxFuture<'static, Result<(), String>>;

/// A worker of the queue `queue` on Redis, registered under `name`, which must be new.
pub(super) fn on_redis(
    connection: RedisConnection,
    queue: &str,
    name: String,
    slots: usize,
    runner: Runner,
) -> Run {
    // apalis's channel of acknowledgements has room for four batches and is not read while a
    // stopping worker waits for its handlers. At the stop a batch may just have been fetched on
    // top of full slots, none of them acknowledged: unless four batches hold all of that and one
    // more, the stop hangs. A larger batch would only hoard what another process could run.
    // The janitor beats for live workers and buries dead ones, so apalis's own burial, which
    // delivers a dispatch again under the same generation, is put off for a year.
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
        .poll_with_strategy(Impatient::new(Arc::clone(&runner.liveness)));
    let (handlers, stop) = (runner.handlers.clone(), runner.stop.clone());
    let worker = WorkerBuilder::new(name)
        .backend(storage)
        .concurrency(slots)
        .parallelize(move |handler| handlers.spawn(handler))
        .build(move |payload: Payload, task: TaskId| runner.clone().run(payload, task.to_string()));
    worker.run_until(stopped(stop)).map(reason).boxed()
}

/// A worker that takes from this process's own list.
pub(super) fn on_memory(memory: Arc<Memory>, name: String, slots: usize, runner: Runner) -> Run {
    let dispatches = memory
        .take(runner.lane)
        .map(|dispatch| Ok::<_, Infallible>(Payload(Some(dispatch))))
        .boxed()
        .poll_with_strategy(Impatient::new(Arc::clone(&runner.liveness)));
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

/// The codec that reads anything.
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

/// Asks at once when nudged, soon after there was work, and every 100 ms when idle.
///
/// A nudge can arrive while an empty answer is on its way, so one nudge asks several times, in
/// doubling steps from a millisecond. Both wakers are always polled until pending: a timer that
/// is armed but not polled wakes nobody.
struct Impatient {
    liveness: Arc<LaneLiveness>,
    nudges: Arc<Notify>,
    nudged: Pin<Box<OwnedNotified>>,
    sleep: Pin<Box<Sleep>>,
    pause: Duration,
}

impl Impatient {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(100);

    fn new(liveness: Arc<LaneLiveness>) -> Self {
        let nudges = liveness.nudges();
        Self {
            nudged: Box::pin(Arc::clone(&nudges).notified_owned()),
            sleep: Box::pin(sleep(Self::SHORTEST)),
            pause: Self::SHORTEST,
            liveness,
            nudges,
        }
    }

    fn hurry(&mut self) {
        self.pause = Self::SHORTEST;
        self.sleep.as_mut().reset(Instant::now() + self.pause);
    }
}

impl PollStrategy for Impatient {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        while self.nudged.as_mut().poll(cx).is_ready() {
            self.nudged = Box::pin(Arc::clone(&self.nudges).notified_owned());
            self.hurry();
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            self.pause = (self.pause * 2).min(Self::LONGEST);
            self.sleep.as_mut().reset(Instant::now() + self.pause);
        }
        Poll::Pending
    }

    fn on_poll(&mut self, snapshot: &PollSnapshot) {
        self.liveness.beat();
        if snapshot.consecutive_ready > 0 && self.pause > Self::SHORTEST {
            self.hurry();
        }
    }
}

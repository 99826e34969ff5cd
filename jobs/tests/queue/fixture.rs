//! A running queue that records what it ran.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use guestlist::Ticket;
use guestlist_jobs::queue::{Concurrency, Drained, Lane, Queue, QueueError};
use guestlist_testkit::RedisServer;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const SLOTS: Concurrency = Concurrency::ONE.urgent(4).letters(16);
pub const DRAIN: Duration = Duration::from_secs(10);

pub fn dispatches(count: usize) -> Vec<Ticket> {
    (0..count)
        .map(|_| Ticket::new(Uuid::now_v7().into(), 1))
        .collect()
}

/// Waits for a condition, not for a fixed time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    began.elapsed()
}

/// Every key of the server.
pub async fn keys(server: &RedisServer) -> Vec<String> {
    server.command("KEYS *").await.unwrap()
}

/// The number of runs of each dispatch.
#[derive(Clone, Default)]
pub struct Runs(Arc<Mutex<HashMap<Ticket, usize>>>);

impl Runs {
    pub fn note(&self, dispatch: Ticket) {
        *self.0.lock().unwrap().entry(dispatch).or_default() += 1;
    }

    pub fn of(&self, dispatch: &Ticket) -> usize {
        self.0.lock().unwrap().get(dispatch).copied().unwrap_or(0)
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn all_once(&self, dispatches: &[Ticket]) -> bool {
        dispatches.iter().all(|dispatch| self.of(dispatch) == 1)
    }

    pub fn handler(&self) -> impl Fn(Lane, Ticket) -> BoxFuture<'static, ()> + Clone + use<> {
        let runs = self.clone();
        move |_, dispatch| {
            runs.note(dispatch);
            async {}.boxed()
        }
    }
}

/// A `Queue::run` in a task of its own, as in a process.
pub struct Running {
    pub stop: CancellationToken,
    pub task: JoinHandle<Drained>,
}

pub fn run(
    queue: &Queue,
    slots: Concurrency,
    drain: Duration,
    handler: impl Fn(Lane, Ticket) -> BoxFuture<'static, ()> + Send + Sync + Clone + 'static,
) -> Running {
    let stop = CancellationToken::new();
    let (queue, token) = (queue.clone(), stop.clone());
    let task = tokio::spawn(async move { queue.run(slots, handler, token, drain).await });
    Running { stop, task }
}

impl Running {
    pub async fn end(self) -> Drained {
        assert!(!self.task.is_finished(), "run returned before its stop");
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

pub async fn polling(queue: &Queue) -> Duration {
    until("the workers poll", async || queue.is_polling()).await
}

/// Pushes everything in batches that fit the window. The room may be gone by the time of the push,
/// since a dispatch on its way from the list into a handler is counted in neither for a moment.
pub async fn push_all(queue: &Queue, lane: Lane, dispatches: &[Ticket]) {
    let mut rest = dispatches;
    while !rest.is_empty() {
        let room = queue.room(lane).await.unwrap().min(rest.len());
        match queue.push(lane, &rest[..room]).await {
            Ok(()) => rest = &rest[room..],
            Err(QueueError::Full) => {}
            Err(failure) => panic!("{failure}"),
        }
        if room == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

static LOG: LazyLock<Arc<Mutex<Vec<u8>>>> = LazyLock::new(|| {
    let buffer = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&buffer);
    let _ = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Tap(Arc::clone(&writer)))
        .try_init();
    buffer
});

/// Everything logged so far; call it once before the code whose log is of interest.
pub fn log() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

struct Tap(Arc<Mutex<Vec<u8>>>);

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

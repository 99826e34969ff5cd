//! The queue between the relay and the workers. The outbox, not the queue, is the source of truth.
//!
//! The outbox row in SQL decides what is due, under which lease and generation. A dispatch, one delivery
//! of a row, is only the [`Ticket`] of its lease. A lost dispatch delays its row until the lease expires, and a duplicate finds
//! another generation and does nothing. The queue guarantees progress: it keeps running while its
//! store works, it recovers by itself after the store failed, and it never holds more than
//! [`WINDOW`] dispatches.

mod apalis_worker;
mod backlog_target;
mod check;
mod junk_log;
mod keys;
mod lane_liveness;
mod memory;
mod payload;
mod rights;
mod runner;
mod store;
mod supervisor;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use guestlist::Ticket;
use tokio_util::sync::CancellationToken;

use backlog_target::BacklogTarget;
pub use check::Health;
use junk_log::JunkLog;
use lane_liveness::LaneLiveness;
use memory::Memory;
use runner::Unstarted;
use store::Store;

use crate::rate::Rate;
use crate::rate_limiter::RateLimiter;
use crate::redis_url::RedisUrl;

/// The maximum number of dispatches in Redis, or in memory, over all lanes and all processes.
pub const WINDOW: usize = 2_000;

/// The maximum number of dispatches of [`Lane::Letters`], so that a stalled mail server cannot fill
/// the window and leave no room for a purge of sessions.
pub const LETTERS_WINDOW: usize = 1_500;

/// The maximum number of dispatches in one push.
pub const PUSH_LIMIT: usize = 500;

/// The beginning of the prefix of every key; the name of an installation follows.
pub const DEFAULT_PREFIX: &str = "guestlist";

/// A lane, with a queue, a worker and slots of its own, so that no lane waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Work that must follow a commit at once, such as the purge of sessions.
    Urgent,
    /// Letters and everything else that a slow mail server may hold up.
    Letters,
}

impl Lane {
    /// Both lanes, the urgent one first.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Letters];

    /// The lane's name in keys and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Letters => "letters",
        }
    }

    /// Returns the maximum number of dispatches of this lane in the queue.
    const fn window(self) -> usize {
        match self {
            Self::Urgent => WINDOW,
            Self::Letters => LETTERS_WINDOW,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value for each lane.
#[derive(Debug, Clone, Copy, Default)]
struct Lanes<T> {
    urgent: T,
    letters: T,
}

impl<T> Lanes<T> {
    fn each(make: impl Fn(Lane) -> T) -> Self {
        Self {
            urgent: make(Lane::Urgent),
            letters: make(Lane::Letters),
        }
    }

    fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Letters => &self.letters,
        }
    }
}

/// The number of handlers of each lane that one process runs at a time. Zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// Slots of [`Lane::Urgent`].
    pub urgent: usize,
    /// Slots of [`Lane::Letters`].
    pub letters: usize,
}

impl Concurrency {
    /// One handler of each lane.
    pub const ONE: Self = Self {
        urgent: 1,
        letters: 1,
    };

    /// Sets the number of handlers of [`Lane::Urgent`].
    #[must_use]
    pub const fn urgent(self, urgent: usize) -> Self {
        Self { urgent, ..self }
    }

    /// Sets the number of handlers of [`Lane::Letters`].
    #[must_use]
    pub const fn letters(self, letters: usize) -> Self {
        Self { letters, ..self }
    }
}

/// The result of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// The number of handlers that were cut off because the drain time was over. Another process
    /// takes their rows when the leases expire.
    pub abandoned: usize,
}

/// The state of this process's workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// True if in every lane a worker asked for work within the last seconds, or all slots are taken.
    pub polling: bool,
    /// The number of times a worker was restarted since the queue was created.
    pub restarts: u64,
    /// The number of times a failed connection to Redis was replaced; zero in memory.
    pub reconnects: u64,
    /// The number of handlers that run now.
    pub running: usize,
}

/// An error of the queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The window has no room for this push, or the push holds more than [`PUSH_LIMIT`]. Nothing
    /// was stored. This is the only error after which a lease may be released at once.
    #[error("the queue has no room for this push")]
    Full,
    /// Redis did not answer, or answered with an error. After a push the result is *unknown*: the
    /// dispatches may be stored and may run, so their leases must not be released.
    #[error("redis at {address}: {problem}")]
    Redis {
        /// The address of Redis, without credentials.
        address: String,
        /// The error of the client.
        problem: redis::RedisError,
    },
    /// The user of the URL of Redis lacks rights that the worker needs. Only the checks return this.
    #[error(
        "redis at {address}: the user lacks {}: see ACL SETUSER under Redis in the operations guide",
        missing.join(" ")
    )]
    Rights {
        /// The address of Redis, without credentials.
        address: String,
        /// The missing rights as rules of `ACL SETUSER`, such as `+hset`.
        missing: Vec<String>,
    },
}

/// A function that runs a dispatch. It returns when the row is settled, and handles its own errors.
type Handler = Arc<dyn Fn(Lane, Ticket) -> BoxFuture<'static, ()> + Send + Sync>;

/// A queue between the outbox and the jobs; clones share it.
#[derive(Clone)]
pub struct Queue {
    transport: Transport,
    liveness: Lanes<Arc<LaneLiveness>>,
    backlog_target: Arc<BacklogTarget>,
    unstarted: Arc<Unstarted>,
    junk_log: Arc<JunkLog>,
}

#[derive(Clone)]
enum Transport {
    Redis(Arc<Store>),
    Memory(Arc<Memory>),
}

impl Queue {
    /// Creates a queue on Redis that every process with the same URL and prefix shares.
    ///
    /// Connects on first use, so Redis may be down now. Call it inside a Tokio runtime.
    #[must_use]
    pub fn redis(url: &RedisUrl, prefix: &str) -> Self {
        let junk_log = Arc::default();
        let store = Store::new(url, prefix, Arc::clone(&junk_log));
        Self::on(Transport::Redis(Arc::new(store)), junk_log)
    }

    /// Creates a queue inside this process, the default for embedding.
    #[must_use]
    pub fn memory() -> Self {
        Self::on(Transport::Memory(Arc::default()), Arc::default())
    }

    fn on(transport: Transport, junk_log: Arc<JunkLog>) -> Self {
        Self {
            junk_log,
            transport,
            liveness: Lanes::each(|_| Arc::default()),
            backlog_target: Arc::default(),
            unstarted: Arc::default(),
        }
    }

    /// Creates a rate limiter for letters. All processes of a queue on Redis share it; with a queue in
    /// memory it holds for this process.
    #[must_use]
    pub fn rate_limiter(&self, rate: Rate) -> RateLimiter {
        match &self.transport {
            Transport::Redis(store) => {
                RateLimiter::on_redis(rate, store.connection(), store.slots())
            }
            Transport::Memory(_) => RateLimiter::of_process(rate),
        }
    }

    /// Returns how many dispatches of `lane` may be pushed now, at most [`PUSH_LIMIT`].
    ///
    /// Counts all dispatches of all processes in the queue: waiting, in flight, and done but not
    /// yet swept. Sweeps the lane first.
    ///
    /// # Errors
    /// [`QueueError::Redis`] while Redis fails.
    pub async fn room(&self, lane: Lane) -> Result<usize, QueueError> {
        let (held, _) = self.held(lane).await?;
        Ok(room_for(lane, held))
    }

    /// Returns how many dispatches of `lane` should be pushed now. If letters are sent slowly this is
    /// less than the [room](Self::room): dispatches in the queue are first in, first out, and
    /// fairness between organizations applies only in SQL. About as many letters wait in the queue
    /// as are sent in a quarter of a second, and never more than `most_waiting`.
    ///
    /// # Errors
    /// [`QueueError::Redis`] while Redis fails.
    pub async fn wanted(&self, lane: Lane, most_waiting: usize) -> Result<usize, QueueError> {
        let (held, waiting) = self.held(lane).await?;
        let room = room_for(lane, held);
        Ok(match lane {
            Lane::Urgent => room,
            Lane::Letters => {
                let ended = self.liveness.of(lane).ended();
                let wanted = self.backlog_target.wanted(Instant::now(), ended, waiting);
                room.min(wanted).min(most_waiting.saturating_sub(waiting))
            }
        })
    }

    /// Returns the number of dispatches of every lane, and the number of `lane` that no worker has
    /// fetched.
    async fn held(&self, lane: Lane) -> Result<(Lanes<usize>, usize), QueueError> {
        match &self.transport {
            Transport::Redis(store) => store.held(lane).await,
            Transport::Memory(memory) => Ok((self.held_in_memory(memory), memory.waiting(lane))),
        }
    }

    /// Adds `dispatches` to `lane` and wakes this process's worker.
    ///
    /// The window is checked again in the same atomic step that stores the dispatches, so several
    /// processes that push at once cannot exceed it. A dispatch that the queue already holds is
    /// not added twice.
    ///
    /// # Errors
    /// [`QueueError::Full`]: nothing was stored. [`QueueError::Redis`]: the result is unknown.
    pub async fn push(&self, lane: Lane, dispatches: &[Ticket]) -> Result<(), QueueError> {
        if dispatches.is_empty() {
            return Ok(());
        }
        if dispatches.len() > PUSH_LIMIT {
            return Err(QueueError::Full);
        }
        match &self.transport {
            Transport::Redis(store) => store.push(lane, dispatches).await?,
            Transport::Memory(memory) => {
                if dispatches.len() > room_for(lane, self.held_in_memory(memory)) {
                    return Err(QueueError::Full);
                }
                memory.push(lane, dispatches);
            }
        }
        if lane == Lane::Letters {
            self.backlog_target.pushed(dispatches.len());
        }
        self.liveness.of(lane).wake();
        Ok(())
    }

    /// Runs workers of both lanes until `stop`, also while the store fails.
    ///
    /// A worker that ends for any reason is restarted with back-off; running handlers continue. A
    /// panic in a handler is caught and logged. After `stop` nothing new is fetched and running
    /// handlers have the time `drain` to finish, which should be longer than the longest deadline of
    /// a handler. Dropping the future cuts everything off at once.
    pub async fn run(
        &self,
        concurrency: Concurrency,
        handler: impl Fn(Lane, Ticket) -> BoxFuture<'static, ()> + Send + Sync + Clone + 'static,
        stop: CancellationToken,
        drain: Duration,
    ) -> Drained {
        supervisor::run(self, concurrency, Arc::new(handler), stop, drain).await
    }

    /// Takes the dispatches that this process fetched and did not start before it was stopped. No
    /// other process runs them, so their leases can be released at once.
    pub fn take_unstarted(&self) -> Vec<Ticket> {
        let mut unstarted = self.unstarted.take();
        if let Transport::Memory(memory) = &self.transport {
            unstarted.extend(memory.drain());
        }
        unstarted
    }

    /// Returns whether a worker of this process asks for work in every lane: readiness.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        Lane::ALL
            .iter()
            .all(|lane| self.liveness.of(*lane).is_polling())
    }

    /// Returns the readiness and the counters of this process's workers.
    #[must_use]
    pub fn status(&self) -> Status {
        let liveness = Lane::ALL.map(|lane| self.liveness.of(lane));
        Status {
            polling: self.is_polling(),
            restarts: liveness.iter().map(|liveness| liveness.restarts()).sum(),
            reconnects: match &self.transport {
                Transport::Redis(store) => store.reconnects(),
                Transport::Memory(_) => 0,
            },
            running: liveness.iter().map(|liveness| liveness.running()).sum(),
        }
    }

    /// Checks that the queue takes dispatches now: its server answers, accepts writes, and allows what
    /// the worker does.
    ///
    /// # Errors
    /// [`QueueError::Redis`] if it does not answer or accept writes, [`QueueError::Rights`] if the user
    /// lacks rights.
    pub async fn answers(&self) -> Result<(), QueueError> {
        match &self.transport {
            Transport::Redis(store) => rights::check(store).await,
            Transport::Memory(_) => Ok(()),
        }
    }

    /// Checks that the queue takes dispatches now, as [`answers`](Self::answers) does, and returns the
    /// configuration of its server.
    ///
    /// # Errors
    /// As [`answers`](Self::answers).
    pub async fn check(&self) -> Result<Health, QueueError> {
        match &self.transport {
            Transport::Redis(store) => check::redis(store).await,
            Transport::Memory(_) => Ok(Health::default()),
        }
    }

    /// Returns the names of all keys of the queue in Redis and their types. `*` stands for the id of a
    /// dispatch or the name of a worker. Empty for a queue in memory.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, &'static str)> {
        match &self.transport {
            Transport::Redis(store) => store.keys().all(),
            Transport::Memory(_) => Vec::new(),
        }
    }

    fn held_in_memory(&self, memory: &Memory) -> Lanes<usize> {
        Lanes::each(|lane| memory.waiting(lane) + self.liveness.of(lane).running())
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Redis(store) => write!(f, "Queue(redis at {})", store.address()),
            Transport::Memory(_) => f.write_str("Queue(memory)"),
        }
    }
}

/// Returns how many dispatches a push to `lane` may hold while the queue holds `held`.
fn room_for(lane: Lane, held: Lanes<usize>) -> usize {
    let in_lane = lane.window().saturating_sub(*held.of(lane));
    let in_all = WINDOW.saturating_sub(held.urgent + held.letters);
    in_lane.min(in_all).min(PUSH_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_leave_room_for_urgent_work() {
        let held = Lanes {
            urgent: 0,
            letters: LETTERS_WINDOW,
        };
        assert_eq!(room_for(Lane::Letters, held), 0);
        assert_eq!(room_for(Lane::Urgent, held), PUSH_LIMIT);
    }

    #[test]
    fn an_overfull_window_has_no_room() {
        let held = Lanes {
            urgent: 9_000,
            letters: 9_000,
        };
        assert_eq!(Lane::ALL.map(|lane| room_for(lane, held)), [0, 0]);
    }
}

//! The queue hands dispatches to workers; it holds no truth.
//!
//! The outbox row in SQL decides what is due, under whose lease and which generation. A
//! [`Dispatch`] only says "look at this row", so losing one costs the rest of a lease and a
//! duplicate finds the generation moved. What the queue does owe is progress: it never stands
//! still while its store is well, it recovers by itself when the store was not, and it never
//! holds more than [`WINDOW`] dispatches.

mod apalis_worker;
mod backoff;
mod check;
mod lane_liveness;
mod limiter;
mod memory;
mod pace;
mod payload;
mod runner;
mod store;
mod supervisor;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use check::Health;
use lane_liveness::LaneLiveness;
use limiter::Limiter;
use memory::Memory;
use pace::Pace;
use runner::Unstarted;
use store::Store;

use crate::mailer::Rate;
use crate::redis_url::RedisUrl;

/// The most dispatches that Redis, or memory, may hold over all lanes and all processes.
pub const WINDOW: usize = 2_000;

/// The most dispatches of [`Lane::Letters`], so that a stalled mail server cannot fill the
/// window and keep a purge of sessions out of it.
pub const LETTERS_WINDOW: usize = 1_500;

/// The most dispatches that one push may carry.
pub const PUSH_LIMIT: usize = 500;

/// What the prefix of every key begins with; an installation's name follows.
pub const DEFAULT_PREFIX: &str = "guestlist";

/// One delivery of one outbox row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dispatch {
    /// The row's id.
    pub message: Uuid,
    /// The row's generation when it was leased; a row that has moved on ignores this delivery.
    pub generation: i64,
}

/// What must not wait for what: each lane has a queue, a worker and slots of its own.
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

    /// How many dispatches of this lane the queue holds at most.
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

/// How many handlers of each lane one process runs at a time. Zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Slots of [`Lane::Urgent`].
    pub urgent: usize,
    /// Slots of [`Lane::Letters`].
    pub letters: usize,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Handlers that were cut off because the drain time was over. Their leases lapse and
    /// another process takes the rows.
    pub abandoned: usize,
}

/// What the workers of this process are doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// A worker of every lane asked for work within the last seconds, or has every slot taken.
    pub polling: bool,
    /// How often a worker had to be started again since the queue was made.
    pub restarts: u64,
    /// How often a connection to Redis took the place of one that failed; none in memory.
    pub reconnects: u64,
    /// Handlers that run now.
    pub running: usize,
}

/// Why the queue could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The window has no room for this push, or it carries more than [`PUSH_LIMIT`]. Nothing
    /// was stored: the one failure after which a lease may be given back at once.
    #[error("the queue has no room for this push")]
    Full,
    /// Redis did not answer, or answered with an error. After a push this means *unknown*: the
    /// dispatches may have been stored and may run, so only the lease decides.
    #[error("redis at {address}: {source}")]
    Redis {
        /// Where Redis is, never the credentials.
        address: String,
        /// What the client reported.
        source: redis::RedisError,
    },
}

/// What runs a dispatch. It returns when the row is settled; errors are its own business.
type Handler = Arc<dyn Fn(Lane, Dispatch) -> BoxFuture<'static, ()> + Send + Sync>;

/// The dispatcher between the outbox and the jobs; clones share one queue.
#[derive(Clone)]
pub struct Queue {
    transport: Transport,
    liveness: Lanes<Arc<LaneLiveness>>,
    pace: Arc<Pace>,
    unstarted: Arc<Unstarted>,
    limiter: Option<Arc<Limiter>>,
}

#[derive(Clone)]
enum Transport {
    Redis(Arc<Store>),
    Memory(Arc<Memory>),
}

impl Queue {
    /// A queue on Redis that every process with the same URL and prefix shares.
    ///
    /// Connects on first use, so Redis may be down now. Call it inside a Tokio runtime.
    #[must_use]
    pub fn redis(url: &RedisUrl, prefix: &str) -> Self {
        Self::on(Transport::Redis(Arc::new(Store::new(url, prefix))))
    }

    /// A queue inside this process, the embedded default.
    #[must_use]
    pub fn memory() -> Self {
        Self::on(Transport::Memory(Arc::default()))
    }

    fn on(transport: Transport) -> Self {
        Self {
            transport,
            liveness: Lanes::each(|_| Arc::default()),
            pace: Arc::default(),
            unstarted: Arc::default(),
            limiter: None,
        }
    }

    /// The same queue with turns at a mail server that takes letters at `rate`: over all processes
    /// that share the queue on Redis, for this process in memory.
    #[must_use]
    pub fn paced(self, rate: Rate) -> Self {
        let limiter = Some(Arc::new(Limiter::new(rate)));
        Self { limiter, ..self }
    }

    /// Whether letters have to wait for a [`turn`](Self::turn).
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.limiter.is_some()
    }

    /// Takes the next turn at the mail server and says how long to wait for it; nothing where
    /// there is no rate. The turn is the caller's from then on, used or not.
    ///
    /// # Errors
    /// [`QueueError::Redis`] while Redis is not well: then nobody knows whose turn it is.
    pub async fn turn(&self) -> Result<Duration, QueueError> {
        match (&self.limiter, &self.transport) {
            (None, _) => Ok(Duration::ZERO),
            (Some(limiter), Transport::Redis(store)) => limiter.turn_on_redis(store).await,
            (Some(limiter), Transport::Memory(_)) => Ok(limiter.turn_in_memory()),
        }
    }

    /// How many dispatches of `lane` may be pushed now, at most [`PUSH_LIMIT`].
    ///
    /// Counts everything the queue holds for all processes: waiting, in flight, and done but not
    /// yet swept. Sweeps the lane first.
    ///
    /// # Errors
    /// [`QueueError::Redis`] while Redis is not well.
    pub async fn room(&self, lane: Lane) -> Result<usize, QueueError> {
        let (held, _) = self.held(lane).await?;
        Ok(room_for(lane, held))
    }

    /// How many dispatches of `lane` are worth pushing now: where letters are slow to leave fewer
    /// than there is [room](Self::room) for, so that what is due later but urgent to its
    /// organization does not wait behind them. About a quarter of a second's letters wait.
    ///
    /// # Errors
    /// [`QueueError::Redis`] while Redis is not well.
    pub async fn wanted(&self, lane: Lane) -> Result<usize, QueueError> {
        let (held, waiting) = self.held(lane).await?;
        let room = room_for(lane, held);
        Ok(match lane {
            Lane::Urgent => room,
            Lane::Letters => {
                let ended = self.liveness.of(lane).ended();
                let wanted = self.pace.wanted(Instant::now(), ended, waiting);
                room.min(wanted).min(self.in_time(waiting))
            }
        })
    }

    /// How many letters may join those that wait for their turn and still have it within their leases.
    fn in_time(&self, waiting: usize) -> usize {
        let backlog = self.limiter.as_ref().map(|limiter| limiter.backlog());
        backlog.map_or(PUSH_LIMIT, |backlog| backlog.saturating_sub(waiting))
    }

    /// How many dispatches every lane holds, and how many of `lane` nobody has fetched.
    async fn held(&self, lane: Lane) -> Result<(Lanes<usize>, usize), QueueError> {
        match &self.transport {
            Transport::Redis(store) => store.held(lane).await,
            Transport::Memory(memory) => Ok((self.held_in_memory(memory), memory.waiting(lane))),
        }
    }

    /// Adds `dispatches` to `lane` and wakes this process's worker.
    ///
    /// The window is checked again where the dispatches are stored, in one step, so several
    /// processes pushing at once cannot exceed it. A dispatch that the queue already holds is
    /// not added twice.
    ///
    /// # Errors
    /// [`QueueError::Full`]: nothing was stored. [`QueueError::Redis`]: unknown, see there.
    pub async fn push(&self, lane: Lane, dispatches: &[Dispatch]) -> Result<(), QueueError> {
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
            self.pace.pushed(dispatches.len());
        }
        self.liveness.of(lane).nudge();
        Ok(())
    }

    /// Runs workers of both lanes until `stop`, whatever the store does meanwhile.
    ///
    /// A worker that ends for any reason is started again with back-off; handlers outlive it. A
    /// panic in a handler is logged and contained. After `stop` nothing new is fetched and
    /// running handlers have `drain` to finish; give it more than the longest deadline of a
    /// handler. Dropping the future cuts everything off at once.
    pub async fn run(
        &self,
        concurrency: Concurrency,
        handler: impl Fn(Lane, Dispatch) -> BoxFuture<'static, ()> + Send + Sync + Clone + 'static,
        stop: CancellationToken,
        drain: Duration,
    ) -> Drained {
        supervisor::run(self, concurrency, Arc::new(handler), stop, drain).await
    }

    /// Takes what this process holds and did not start before it was stopped. Nobody else will
    /// run it, so its leases can be given back at once.
    pub fn take_unstarted(&self) -> Vec<Dispatch> {
        let mut unstarted = self.unstarted.take();
        if let Transport::Memory(memory) = &self.transport {
            unstarted.extend(memory.drain());
        }
        unstarted
    }

    /// Whether a worker of every lane of this process really asks for work: readiness.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        Lane::ALL
            .iter()
            .all(|lane| self.liveness.of(*lane).is_polling())
    }

    /// Readiness and counters of this process's workers.
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

    /// Whether the queue takes dispatches now: its server answers and accepts writes.
    ///
    /// # Errors
    /// [`QueueError::Redis`] when it does not.
    pub async fn answers(&self) -> Result<(), QueueError> {
        match &self.transport {
            Transport::Redis(store) => check::answers(store).await,
            Transport::Memory(_) => Ok(()),
        }
    }

    /// Looks at the queue's server as an operator would: reachable, writable, how configured.
    ///
    /// # Errors
    /// [`QueueError::Redis`] when it cannot be reached or does not accept writes.
    pub async fn check(&self) -> Result<Health, QueueError> {
        match &self.transport {
            Transport::Redis(store) => check::redis(store).await,
            Transport::Memory(_) => Ok(Health::default()),
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

/// What a push to `lane` may carry while the queue holds `held`.
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

//! The relay: leases due rows of the outbox and hands them to the queue.
//!
//! Every worker process has one. They need no leader: the database shares the rows among them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guestlist::outbox::{self, Priority};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::context::Context;
use crate::leases::LEASE;
use crate::mailer::Gate;
use crate::metrics::Metrics;
use crate::queue::{Dispatch, Lane, Queue, QueueError};

/// How soon the relay looks again after it found something.
const BUSY: Duration = Duration::from_millis(5);

/// How seldom it looks when nothing happens for a while.
const IDLE: Duration = Duration::from_millis(200);

/// How long it waits after the database or the queue failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Leases and pushes until `stop`.
pub(crate) struct Relay {
    pub(crate) context: Context,
    pub(crate) queue: Queue,
    /// Set while the clocks disagree too much.
    pub(crate) stands_down: Arc<AtomicBool>,
    pub(crate) metrics: Metrics,
    pub(crate) rounds: Rounds,
}

/// When a relay last began a round: what its silence is read off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Arc<Mutex<Option<Instant>>>);

impl Rounds {
    fn begin(&self) {
        self.set(Some(Instant::now()));
    }

    fn end(&self) {
        self.set(None);
    }

    fn set(&self, last: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// How long ago the last round began; `None` while no relay runs.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed())
    }
}

/// What keeps the relay from its work.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Database(#[from] guestlist::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Relay {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut wait = BUSY;
        let mut is_well = true;
        while stop
            .run_until_cancelled(tokio::time::sleep(jittered(wait)))
            .await
            .is_some()
        {
            self.rounds.begin();
            if self.stands_down.load(Ordering::Relaxed) {
                wait = PAUSE;
                continue;
            }
            match self.relay_once().await {
                Ok(relayed) => {
                    if !is_well {
                        info!("the relay works again");
                    }
                    is_well = true;
                    wait = if relayed > 0 {
                        BUSY
                    } else {
                        (wait * 2).min(IDLE)
                    };
                }
                Err(obstacle) => {
                    if is_well {
                        warn!(%obstacle, "nothing is relayed until this is mended: {obstacle}");
                    }
                    is_well = false;
                    wait = PAUSE;
                }
            }
        }
        self.rounds.end();
    }

    async fn relay_once(&self) -> Result<usize, Obstacle> {
        Ok(self.relay_lane(Lane::Urgent).await? + self.relay_lane(Lane::Letters).await?)
    }

    async fn relay_lane(&self, lane: Lane) -> Result<usize, Obstacle> {
        let limit = match lane {
            Lane::Urgent => usize::MAX,
            Lane::Letters => letters_wanted(self.context.mailer.gate()),
        };
        if limit == 0 {
            return Ok(0);
        }
        let room = self.queue.room(lane).await?.min(limit);
        if room == 0 {
            return Ok(0);
        }
        let dispatches = self.lease(lane, room).await?;
        match self.queue.push(lane, &dispatches).await {
            Ok(()) => {
                self.metrics.dispatched(lane.name(), dispatches.len());
                Ok(dispatches.len())
            }
            Err(QueueError::Full) => self.give_back(&dispatches).await,
            Err(unknown) => Err(unknown.into()),
        }
    }

    /// Another process filled the room first; its rows need not wait for the lease to lapse.
    async fn give_back(&self, dispatches: &[Dispatch]) -> Result<usize, Obstacle> {
        let leases: Vec<_> = dispatches
            .iter()
            .map(|dispatch| (dispatch.message.into(), dispatch.generation))
            .collect();
        let mut connection = self.context.database.acquire().await?;
        outbox::release(&mut connection, &leases).await?;
        Ok(0)
    }

    async fn lease(&self, lane: Lane, limit: usize) -> Result<Vec<Dispatch>, guestlist::Error> {
        let priority = match lane {
            Lane::Urgent => Priority::URGENT,
            Lane::Letters => Priority::LETTER,
        };
        let mut connection = self.context.database.acquire().await?;
        let now = self.context.library.now();
        let leases =
            outbox::lease(&mut connection, now, LEASE, (priority, priority), limit).await?;
        let lapses = leases.iter().filter(|lease| lease.follows_a_lapse);
        self.metrics.lease_expiries.inc_by(lapses.count() as u64);
        let dispatch = |lease: outbox::Lease| Dispatch {
            message: lease.id.as_uuid(),
            generation: lease.generation,
        };
        Ok(leases.into_iter().map(dispatch).collect())
    }
}

/// While the mail server rests, letters rest in the outbox; one goes first to try it.
fn letters_wanted(gate: Gate) -> usize {
    match gate {
        Gate::Open => usize::MAX,
        Gate::Probe => 1,
        Gate::Closed { .. } => 0,
    }
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.8..1.2))
}

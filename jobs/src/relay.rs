//! The relay: leases due rows of the outbox and hands them to the queue.
//!
//! Every worker process has one. They need no leader: the database shares the rows among them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guestlist::Ticket;
use guestlist::outbox::{self, FairCursor, Priority};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::back_off::jittered;
use crate::context::Context;
use crate::failpoint::fail_point;
use crate::kept_connection::KeptConnection;
use crate::leases::LEASE;
use crate::mailer::BreakerState;
use crate::metrics::Metrics;
use crate::queue::{Lane, Queue, QueueError};
use crate::skew::DatabaseClock;

/// The interval between two looks while messages were found recently.
const BUSY: Duration = Duration::from_millis(2);

/// The time after the last found message during which [`BUSY`] applies, so that a host that invites
/// now and then does not wait.
const LATELY: Duration = Duration::from_secs(1);

/// The first interval while messages are due and the queue wants none yet.
const QUEUE_FULL: Duration = Duration::from_millis(5);

/// The longest interval while the queue wants none: a fraction of the time that one push lasts.
const LONGEST_QUEUE_FULL: Duration = Duration::from_millis(50);

/// The longest interval while nothing is due.
const LONGEST_IDLE: Duration = Duration::from_millis(200);

/// The delay after a failure of the database or the queue.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Wakes a worker in the host's own process after a commit. Clones share it.
///
/// Without it the worker looks for due messages every 200 ms when nothing was due for a while.
#[derive(Debug, Clone, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Makes the worker look for due messages now. Call it after the commit; a call that is too
    /// early or not needed costs one query.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for a call of `wake` since the last wait, at most as long as `at_most`.
    async fn wait(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.0.notified()).await;
    }
}

/// The number of letters leased while one may try the mail server: several, because a letter whose
/// refusal stopped the others is not the one to try.
const PROBES: usize = 4;

/// Leases due messages and pushes them to the queue.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) context: Context,
    pub(crate) queue: Queue,
    pub(crate) clock: DatabaseClock,
    pub(crate) metrics: Metrics,
    pub(crate) rounds: Rounds,
    pub(crate) waker: Waker,
    /// The number of letters that may wait in the queue for the rate limit.
    pub(crate) most_waiting: usize,
}

/// The organization whose messages are leased next, for each lane.
struct LaneTurns {
    urgent: FairCursor,
    letters: FairCursor,
}

impl Default for LaneTurns {
    fn default() -> Self {
        Self {
            urgent: FairCursor::of(Priority::URGENT),
            letters: FairCursor::of(Priority::LETTER),
        }
    }
}

/// The result of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Messages were pushed to the queue.
    Some,
    /// Messages are due, and the queue wants none of them yet.
    QueueFull,
    /// Nothing is due, or nothing may be sent now.
    Nothing,
}

/// The interval until the relay looks again.
struct PollInterval {
    wait: Duration,
    queue_full: Duration,
    found_at: Instant,
}

impl PollInterval {
    fn new(now: Instant) -> Self {
        Self {
            wait: BUSY,
            queue_full: QUEUE_FULL,
            found_at: now,
        }
    }

    fn after(&mut self, found: Found, now: Instant) -> Duration {
        if found == Found::Some {
            self.found_at = now;
        }
        if found == Found::QueueFull {
            let wait = self.queue_full;
            self.queue_full = (wait * 3 / 2).min(LONGEST_QUEUE_FULL);
            return wait;
        }
        self.queue_full = QUEUE_FULL;
        self.wait = match found {
            _ if now.saturating_duration_since(self.found_at) < LATELY => BUSY,
            _ => (self.wait * 3 / 2).min(LONGEST_IDLE),
        };
        self.wait
    }
}

/// The time at which the relay last began a round. Readiness fails if it is too long ago.
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

    /// Returns the time since the last round began; `None` while no relay runs.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed())
    }
}

/// The reason why a round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Database(#[from] guestlist::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Relay {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut turns = LaneTurns::default();
        let mut interval = PollInterval::new(Instant::now());
        let mut connection = KeptConnection::new(self.context.database.clone());
        let mut wait = BUSY;
        let mut is_well = true;
        while stop
            .run_until_cancelled(connection.wait_for(self.wait(wait, is_well)))
            .await
            .is_some()
        {
            self.rounds.begin();
            if self.clock.is_too_skewed() {
                wait = RETRY_DELAY;
                continue;
            }
            match self.relay_once(&mut connection, &mut turns).await {
                Ok(found) => {
                    if !is_well {
                        info!("the relay works again");
                    }
                    is_well = true;
                    wait = interval.after(found, Instant::now());
                }
                Err(error) => {
                    if is_well {
                        warn!(
                            %error,
                            "the relay cannot read the outbox or reach the queue; no message is \
                             sent until it can, and it tries again every second: {error}"
                        );
                    }
                    is_well = false;
                    wait = RETRY_DELAY;
                }
            }
        }
        self.rounds.end();
    }

    /// Waits for the next look. After a failure of the database or the queue, the waker does not
    /// shorten the wait.
    async fn wait(&self, wait: Duration, is_well: bool) {
        if is_well {
            self.waker.wait(jittered(wait)).await;
        } else {
            tokio::time::sleep(jittered(wait)).await;
        }
    }

    /// Relays the due messages of every lane. Asks the queue for room only if something is due.
    async fn relay_once(
        &self,
        connection: &mut KeptConnection,
        turns: &mut LaneTurns,
    ) -> Result<Found, RoundError> {
        let now = self.clock.now();
        let due = connection
            .ask(async |connection| outbox::due(connection, now).await)
            .await?;
        let mut found = Found::Nothing;
        for priority in due {
            let (lane, turn) = if priority == Priority::URGENT {
                (Lane::Urgent, &mut turns.urgent)
            } else {
                (Lane::Letters, &mut turns.letters)
            };
            match self.relay_lane(connection, lane, turn).await? {
                Found::Some => found = Found::Some,
                Found::QueueFull if found == Found::Nothing => found = Found::QueueFull,
                _ => {}
            }
        }
        Ok(found)
    }

    async fn relay_lane(
        &self,
        connection: &mut KeptConnection,
        lane: Lane,
        turn: &mut FairCursor,
    ) -> Result<Found, RoundError> {
        let limit = match lane {
            Lane::Urgent => usize::MAX,
            Lane::Letters => letters_wanted(self.context.mailer.state()),
        };
        if limit == 0 {
            return Ok(Found::Nothing);
        }
        let wanted = self.queue.wanted(lane, self.most_waiting).await?.min(limit);
        if wanted == 0 {
            return Ok(Found::QueueFull);
        }
        let dispatches = self.lease(connection, turn, wanted).await?;
        if dispatches.is_empty() {
            return Ok(Found::Nothing);
        }
        fail_point!("relay::leased", |lost| guestlist::Error::from(
            sqlx::Error::Io(lost)
        ));
        match self.queue.push(lane, &dispatches).await {
            Ok(()) => {
                fail_point!("relay::pushed", |lost: std::io::Error| QueueError::Redis {
                    address: "a fail point".to_owned(),
                    problem: lost.into(),
                });
                self.metrics.dispatched(lane.name(), dispatches.len());
                Ok(Found::Some)
            }
            // Another process filled the queue first. Released messages need not wait for their
            // leases to expire.
            Err(QueueError::Full) => {
                connection
                    .ask(async |connection| outbox::release(connection, &dispatches).await)
                    .await?;
                Ok(Found::QueueFull)
            }
            Err(unknown) => Err(unknown.into()),
        }
    }

    async fn lease(
        &self,
        connection: &mut KeptConnection,
        turn: &mut FairCursor,
        limit: usize,
    ) -> Result<Vec<Ticket>, guestlist::Error> {
        let now = self.clock.now();
        let leases = connection
            .ask(async |connection| outbox::lease(connection, turn, now, LEASE, limit).await)
            .await?;
        let lapses = leases.iter().filter(|lease| lease.follows_a_lapse);
        self.metrics.lease_expiries.inc_by(lapses.count() as u64);
        Ok(leases.into_iter().map(|lease| lease.ticket).collect())
    }
}

/// Returns how many letters may be pushed: none while the circuit breaker of the mail server is
/// open, and one as a probe.
fn letters_wanted(breaker: BreakerState) -> usize {
    match breaker {
        BreakerState::Closed => usize::MAX,
        BreakerState::HalfOpen => PROBES,
        BreakerState::Open { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_wake_up_ends_the_wait_once() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().expect("a runtime");
        let _entered = runtime.enter();
        let waker = Waker::default();
        waker.clone().wake();
        assert_eq!(waker.wait(LATELY).now_or_never(), Some(()));
        assert_eq!(
            waker.wait(LATELY).now_or_never(),
            None,
            "one call wakes once"
        );
    }

    #[test]
    fn intervals_grow_a_second_after_the_last_message() {
        let start = Instant::now();
        let mut interval = PollInterval::new(start);
        let later = start + LATELY;
        assert_eq!(interval.after(Found::Some, later), BUSY);
        assert_eq!(interval.after(Found::Nothing, later + LATELY / 2), BUSY);
        let mut last = BUSY;
        for _ in 0..30 {
            let wait = interval.after(Found::Nothing, later + LATELY);
            assert!(
                wait >= last && wait <= last * 3 / 2,
                "{last:?}, then {wait:?}"
            );
            last = wait;
        }
        assert_eq!(last, LONGEST_IDLE);
        assert_eq!(interval.after(Found::QueueFull, later + LATELY), QUEUE_FULL);
        let queue_full: Vec<_> = (0..9)
            .map(|_| interval.after(Found::QueueFull, later + LATELY))
            .collect();
        assert!(
            queue_full.is_sorted() && queue_full[8] == LONGEST_QUEUE_FULL,
            "{queue_full:?}"
        );
        assert_eq!(interval.after(Found::Some, later + LATELY), BUSY);
    }
}

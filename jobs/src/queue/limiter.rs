//! Turns at the mail server: no more of them a second than it takes letters.
//!
//! Who asks takes the next turn and is told how far away it is (the generic cell rate algorithm
//! with reservations), so processes that wait do not race for it, and each asks once for a turn.

use std::{
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::Script;

use super::{QueueError, store::Store};
use crate::mailer::Rate;

static TURN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("turn.lua")));

/// How many turns may be taken ahead: more than there are processes, each of which takes one at a
/// time.
const HORIZON: u32 = 1_000;

/// How long a dispatch may wait in the queue for its turn: half a lease, which nobody renews there.
const WAIT: Duration = Duration::from_secs(10);

/// Hands out turns at a rate; clones of a queue share it.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: Rate,
    /// When the next turn is due, in a process that shares its rate with none.
    due: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        let due = Mutex::default();
        Self { rate, due }
    }

    /// How many dispatches of letters may wait in the queue.
    pub(super) fn backlog(&self) -> usize {
        self.rate.within(WAIT) as usize
    }

    /// Takes the next turn of all processes that share `store`, and says how far away it is.
    pub(super) async fn turn_on_redis(&self, store: &Store) -> Result<Duration, QueueError> {
        let interval = self.rate.interval();
        let mut script = TURN.prepare_invoke();
        script
            .key(store.turns())
            .arg(micros(interval))
            .arg(micros(self.ahead()))
            .arg(micros(interval * HORIZON));
        store.invoke(&script).await.map(Duration::from_micros)
    }

    /// Takes the next turn of this process and says how far away it is.
    pub(super) fn turn_in_memory(&self) -> Duration {
        self.turn_at(Instant::now())
    }

    fn turn_at(&self, now: Instant) -> Duration {
        let mut next = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.map_or(now, |due| due.max(now));
        *next = Some(due + self.rate.interval());
        (due - now).saturating_sub(self.ahead())
    }

    /// How much sooner than it is due a turn may come after a rest.
    fn ahead(&self) -> Duration {
        self.rate.interval() * (self.rate.burst() - 1)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn limiter(rate: &str) -> Limiter {
        Limiter::new(rate.parse().unwrap())
    }

    /// How long after `now` each of `count` turns comes that are waited for one after the other.
    fn turns(limiter: &Limiter, now: Instant, count: u32) -> Vec<Duration> {
        let mut passed = Duration::ZERO;
        let waited = (0..count).map(|_| {
            passed += limiter.turn_at(now + passed);
            passed
        });
        waited.collect()
    }

    #[test]
    fn turns_in_memory_keep_their_distance() {
        let (limiter, began) = (limiter("2"), Instant::now());
        let halves = [0, 500, 1000, 1500].map(Duration::from_millis);
        assert_eq!(turns(&limiter, began, 4), halves);
        // However long the rest was, it saves up one turn and no more.
        assert_eq!(turns(&limiter, began + Duration::from_secs(60), 4), halves);
    }

    #[test]
    fn a_fast_rate_allows_a_small_burst_and_no_more_over_time() {
        let turns = turns(&limiter("100"), Instant::now(), 200);
        assert_eq!(turns.iter().filter(|turn| turn.is_zero()).count(), 10);
        for (n, turn) in (1_u32..).zip(&turns) {
            let due = Duration::from_millis(10) * n.saturating_sub(10);
            assert_eq!(*turn, due, "turn {n}");
        }
    }

    #[test]
    fn turns_that_are_asked_for_at_once_are_all_told_apart() {
        let (limiter, now) = (limiter("1"), Instant::now());
        let waits = [0; 3].map(|_| limiter.turn_at(now).as_secs());
        assert_eq!(waits, [0, 1, 2]);
    }
}

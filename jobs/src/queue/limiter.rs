//! The rate limit of letters: at most as many turns per second as the mail server accepts letters.
//!
//! A caller reserves the next turn and gets the time until it (the generic cell rate algorithm with
//! reservations), so that waiting processes do not race for it, and each asks once for a turn.

use std::{
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::Script;

use super::{QueueError, store::Store};
use crate::mailer::Rate;

static TURN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("turn.lua")));

/// The number of turns that may be reserved ahead: more than there are processes, each of which
/// reserves one at a time.
const HORIZON: u32 = 1_000;

/// The time that a dispatch may wait in the queue for its turn: half a lease, because a lease is not
/// renewed while its dispatch is in the queue.
const WAIT: Duration = Duration::from_secs(10);

/// Reserves turns at a rate; clones of a queue share it.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: Rate,
    /// The time of the next turn, if the rate is not shared with other processes.
    due: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(super) fn new(rate: Rate) -> Self {
        let due = Mutex::default();
        Self { rate, due }
    }

    /// Returns how many dispatches of letters may wait in the queue.
    pub(super) fn backlog(&self) -> usize {
        self.rate.within(WAIT) as usize
    }

    /// Reserves the next turn among all processes that share `store`, and returns the time until it.
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

    /// Reserves the next turn of this process and returns the time until it.
    pub(super) fn turn_in_memory(&self) -> Duration {
        self.turn_at(Instant::now())
    }

    fn turn_at(&self, now: Instant) -> Duration {
        let mut next = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.map_or(now, |due| due.max(now));
        *next = Some(due + self.rate.interval());
        (due - now).saturating_sub(self.ahead())
    }

    /// Returns how much earlier than due a turn may come after an idle time.
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

    /// Returns the time from `now` to each of `count` turns that are waited for one after the other.
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
        // An idle time of any length saves up one turn and no more.
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
    fn turns_reserved_at_once_come_one_after_the_other() {
        let (limiter, now) = (limiter("1"), Instant::now());
        let waits = [0; 3].map(|_| limiter.turn_at(now).as_secs());
        assert_eq!(waits, [0, 1, 2]);
    }
}

//! The rate limit of letters: at most as many slots a second as the mail server accepts letters.
//!
//! A caller reserves the next slot and gets the time until it (the generic cell rate algorithm with
//! reservations), so that waiting processes do not race for it, and each asks once for a slot.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{RedisError, Script};

use crate::rate::Rate;
use crate::redis_connection::RedisConnection;

static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rate_limiter.lua")));

/// The number of slots that may be reserved ahead: more than there are processes, each of which
/// reserves one at a time.
const HORIZON: u32 = 1_000;

/// The time that a dispatch may wait in the queue for its slot: half a lease, because a lease is not
/// renewed while its dispatch is in the queue.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Reserves slots at a rate; clones share it.
#[derive(Clone)]
pub struct RateLimiter {
    rate: Rate,
    slots: Slots,
}

/// The place where reserved slots are counted.
#[derive(Clone)]
enum Slots {
    /// The time of the next slot of this process.
    Process(Arc<Mutex<Option<Instant>>>),
    /// The key on Redis that all processes share.
    Redis {
        connection: RedisConnection,
        key: String,
    },
}

impl RateLimiter {
    /// Limits the letters of this process.
    #[must_use]
    pub fn of_process(rate: Rate) -> Self {
        Self {
            rate,
            slots: Slots::Process(Arc::default()),
        }
    }

    /// Limits the letters of all processes that share this key on Redis.
    pub(crate) fn on_redis(rate: Rate, connection: RedisConnection, key: String) -> Self {
        Self {
            rate,
            slots: Slots::Redis { connection, key },
        }
    }

    /// Returns how many dispatches of letters may wait in the queue so that all get their slot before
    /// their leases expire.
    #[must_use]
    pub fn most_waiting(&self) -> usize {
        self.rate.within(LONGEST_WAIT) as usize
    }

    /// Reserves the next slot and returns the time until it. The slot is reserved even if it is not
    /// used.
    ///
    /// # Errors
    /// Redis failed, where the slots are counted.
    pub async fn reserve_slot(&self) -> Result<Duration, RedisError> {
        match &self.slots {
            Slots::Process(due) => Ok(self.reserve_at(due, Instant::now())),
            Slots::Redis { connection, key } => {
                let interval = self.rate.interval();
                let mut script = RESERVE.prepare_invoke();
                script
                    .key(key)
                    .arg(micros(interval))
                    .arg(micros(self.ahead()))
                    .arg(micros(interval * HORIZON));
                let wait = script.invoke_async(&mut connection.clone()).await?;
                Ok(Duration::from_micros(wait))
            }
        }
    }

    fn reserve_at(&self, due: &Mutex<Option<Instant>>, now: Instant) -> Duration {
        let mut next = due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.map_or(now, |due| due.max(now));
        *next = Some(due + self.rate.interval());
        (due - now).saturating_sub(self.ahead())
    }

    /// Returns how much earlier than due a slot may come after an idle time.
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

    fn limiter(rate: &str) -> RateLimiter {
        RateLimiter::of_process(rate.parse().unwrap())
    }

    fn reserve_at(limiter: &RateLimiter, now: Instant) -> Duration {
        match &limiter.slots {
            Slots::Process(due) => limiter.reserve_at(due, now),
            Slots::Redis { .. } => unreachable!("a limiter of this process"),
        }
    }

    /// Reslots the time from `now` to each of `count` slots that are waited for one after the other.
    fn slots(limiter: &RateLimiter, now: Instant, count: u32) -> Vec<Duration> {
        let mut passed = Duration::ZERO;
        let waited = (0..count).map(|_| {
            passed += reserve_at(limiter, now + passed);
            passed
        });
        waited.collect()
    }

    #[test]
    fn slots_in_memory_keep_their_distance() {
        let (limiter, began) = (limiter("2"), Instant::now());
        let halves = [0, 500, 1000, 1500].map(Duration::from_millis);
        assert_eq!(slots(&limiter, began, 4), halves);
        // An idle time of any length saves up one slot and no more.
        assert_eq!(slots(&limiter, began + Duration::from_secs(60), 4), halves);
    }

    #[test]
    fn a_fast_rate_allows_a_small_burst_and_no_more_over_time() {
        let slots = slots(&limiter("100"), Instant::now(), 200);
        assert_eq!(slots.iter().filter(|slot| slot.is_zero()).count(), 10);
        for (n, slot) in (1_u32..).zip(&slots) {
            let due = Duration::from_millis(10) * n.saturating_sub(10);
            assert_eq!(*slot, due, "slot {n}");
        }
    }

    #[test]
    fn slots_reserved_at_once_come_one_after_the_other() {
        let (limiter, now) = (limiter("1"), Instant::now());
        let waits = [0; 3].map(|_| reserve_at(&limiter, now).as_secs());
        assert_eq!(waits, [0, 1, 2]);
    }
}

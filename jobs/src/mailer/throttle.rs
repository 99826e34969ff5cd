//! The pace at which letters are sent while the server asks to send more slowly.
//!
//! Without such a request there is no limit. After one, the limit follows the server's by additive
//! increase and multiplicative decrease (Chiu and Jain, 1989), as TCP does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time over which accepted letters are counted.
const MEASURED: Duration = Duration::from_secs(3);

/// The part of the pace that is left after a request to slow down.
const DECREASE: f64 = 0.93;

/// The part that is left at least if the request before was less than [`SETTLED`] ago: the limit is
/// far off, and what the server accepted lately is the better measure.
const STEEP_DECREASE: f64 = 0.7;

/// The part by which the pace grows each second close to the pace at which the server last asked, and
/// the part with one letter at most, so that a slow server refuses few.
const INCREASE: (f64, f64) = (0.01, 0.002);

/// The same further away from it: after a steep decrease, and once nothing was refused for
/// [`LIFTED`].
const STEEP_INCREASE: (f64, f64) = (0.25, 0.04);

/// The same after the first request, before the server asked again.
const SEARCH_INCREASE: (f64, f64) = (0.25, 0.25);

/// The time after a decrease in which further requests belong to letters sent before it.
const REACTION: Duration = Duration::from_secs(1);

/// The time without a request after which the pace fits the server.
const SETTLED: Duration = Duration::from_secs(4);

/// The time without a request after which the server's limit is taken to have risen.
const LIFTED: Duration = Duration::from_secs(60);

/// The time after a request during which letters count as throttled.
const THROTTLED: Duration = Duration::from_secs(10 * 60);

/// The pace, in letters a second, at which the limit is given up.
const UNLIMITED: f64 = 2_000.0;

/// The slowest pace: a letter in ten seconds.
const SLOWEST: f64 = 0.1;

/// The least pace after the first request: with few letters lately, their number says nothing about the
/// server's limit.
const FIRST: f64 = 2.0;

/// The factor by which the pace grows with each letter after the server took none for a while, up to the
/// pace before (slow start, RFC 5681 section 3.1).
const SLOW_START: f64 = 2.0;

/// The pace of one mailer.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The times of the letters accepted lately.
    accepted: VecDeque<Instant>,
    limit: Option<Limit>,
    /// The time of the first request to slow down since a letter was last accepted.
    refused_since: Option<Instant>,
}

#[derive(Debug)]
struct Limit {
    /// Letters a second.
    pace: f64,
    next: Instant,
    reduced: Instant,
    raised: Instant,
    /// The pace at which the server last asked to slow down, if letters were paced then.
    ceiling: f64,
    /// True if the server accepted nothing in the time before its last request, so that the request tells
    /// nothing about its limit.
    is_silent: bool,
}

impl Throttle {
    /// Returns the time until the next slot; zero without a limit.
    pub(super) fn until_slot(&self, now: Instant) -> Duration {
        let state = self.lock();
        let limit = state.limit.as_ref();
        limit.map_or(Duration::ZERO, |limit| {
            limit.next.saturating_duration_since(now)
        })
    }

    /// Takes the slot that is due.
    pub(super) fn take_slot(&self, now: Instant) {
        if let Some(limit) = &mut self.lock().limit {
            // A letter that came late does not delay those behind it, unless it came a whole slot late.
            let slot = limit.slot();
            let due = limit.next.max(now.checked_sub(slot).unwrap_or(now));
            limit.next = due + slot;
        }
    }

    /// Records an accepted letter.
    pub(super) fn accepted(&self, now: Instant) {
        let mut state = self.lock();
        state.forget(now);
        state.accepted.push_back(now);
        state.refused_since = None;
        if let Some(limit) = &mut state.limit {
            limit.raise(now);
            if limit.pace >= UNLIMITED {
                state.limit = None;
            }
        }
    }

    /// Records a request to slow down, and returns the delay for the letter that met it. A request that is no
    /// news leaves the pace as it is.
    pub(super) fn refused(&self, now: Instant, is_news: bool) -> Duration {
        let mut state = self.lock();
        state.forget(now);
        state.refused_since.get_or_insert(now);
        let measured = state.accepted.len() as f64 / MEASURED.as_secs_f64();
        let limit = state.limit.get_or_insert_with(|| {
            let pace = measured.max(FIRST);
            tracing::warn!(
                "the mail server asks to send more slowly; letters are sent at {pace:.1} a second now"
            );
            Limit::at(pace, now)
        });
        if is_news {
            limit.reduce(now, measured);
        }
        Duration::from_secs(1).max(Duration::from_secs_f64(1.0 / limit.pace))
    }

    /// Returns the limit in letters a second, if there is one.
    pub(super) fn pace(&self) -> Option<f64> {
        self.lock().limit.as_ref().map(|limit| limit.pace)
    }

    /// Returns the limit if the server asked to slow down lately.
    pub(super) fn recent_pace(&self, now: Instant) -> Option<f64> {
        let state = self.lock();
        let limit = state.limit.as_ref()?;
        (now.saturating_duration_since(limit.reduced) < THROTTLED).then_some(limit.pace)
    }

    /// Returns the time since which the server asks to slow down and accepts no letter.
    pub(super) fn refused_since(&self, now: Instant) -> Option<Instant> {
        let state = self.lock();
        let limit = state.limit.as_ref()?;
        let is_tried = now.saturating_duration_since(limit.reduced) < LIFTED;
        state.refused_since.filter(|_| is_tried)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > MEASURED;
        while self.accepted.front().is_some_and(is_old) {
            self.accepted.pop_front();
        }
    }
}

impl Limit {
    fn at(pace: f64, now: Instant) -> Self {
        Self {
            pace,
            next: now,
            reduced: now,
            raised: now,
            ceiling: f64::INFINITY,
            is_silent: false,
        }
    }

    /// The time between two letters.
    fn slot(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.pace)
    }

    fn reduce(&mut self, now: Instant, measured: f64) {
        let since = now.saturating_duration_since(self.reduced);
        let is_silent = measured == 0.0;
        // If letters are rare, none may have been accepted because none was sent.
        let reaction = match is_silent && self.ceiling.is_infinite() {
            true => MEASURED,
            false => REACTION,
        };
        if since < reaction {
            return;
        }
        let reduced = if since < SETTLED || self.ceiling.is_infinite() {
            measured.clamp(self.pace * STEEP_DECREASE, self.pace * DECREASE)
        } else {
            self.pace * DECREASE
        };
        if !is_silent {
            self.ceiling = self.pace;
        }
        self.is_silent = is_silent;
        self.pace = reduced.max(SLOWEST);
        self.reduced = now;
        self.raised = now;
        self.next = self.next.max(now) + self.slot().min(REACTION / 3);
    }

    fn raise(&mut self, now: Instant) {
        if self.is_silent {
            self.pace = (self.pace * SLOW_START).min(self.ceiling);
            self.is_silent = self.pace < self.ceiling;
            self.raised = now;
            return;
        }
        let elapsed = now
            .saturating_duration_since(self.raised)
            .as_secs_f64()
            .min(1.0);
        let is_lifted = now.saturating_duration_since(self.reduced) > LIFTED;
        let (a_second, a_letter) = if self.ceiling.is_infinite() {
            SEARCH_INCREASE
        } else if is_lifted || self.pace < self.ceiling * DECREASE {
            STEEP_INCREASE
        } else {
            INCREASE
        };
        let growth = (a_second * elapsed).min(a_letter);
        self.pace *= 1.0 + growth;
        self.raised = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that accepts so many letters a second, with a bucket of `burst`.
    struct Server {
        rate: f64,
        burst: f64,
        tokens: f64,
        at: Instant,
    }

    impl Server {
        fn accepts(&mut self, now: Instant) -> bool {
            let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
            self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
            self.at = now;
            let accepts = self.tokens >= 1.0;
            if accepts {
                self.tokens -= 1.0;
            }
            accepts
        }
    }

    /// Takes the next slot and returns the time until it.
    fn reserve(throttle: &Throttle, now: Instant) -> Duration {
        let wait = throttle.until_slot(now);
        throttle.take_slot(now + wait);
        wait
    }

    /// Sends for so many seconds, one letter waiting for its slot at a time, with a reply after 20 ms
    /// on 16 connections. Returns how many were accepted and refused after `settled` seconds.
    fn send(server: &mut Server, throttle: &Throttle, seconds: u64, settled: u64) -> (u32, u32) {
        const REPLY: Duration = Duration::from_millis(20);
        let begin = server.at;
        let mut replies: VecDeque<(Instant, bool)> = VecDeque::new();
        let (mut now, mut accepted, mut refused) = (begin, 0, 0);
        while now < begin + Duration::from_secs(seconds) {
            now += reserve(throttle, now);
            while replies.len() >= 16 || replies.front().is_some_and(|(at, _)| *at <= now) {
                let (at, is_accepted) = replies.pop_front().expect("a reply");
                now = now.max(at);
                let counts = u32::from(at >= begin + Duration::from_secs(settled));
                if is_accepted {
                    throttle.accepted(at);
                    accepted += counts;
                } else {
                    throttle.refused(at, true);
                    refused += counts;
                }
            }
            replies.push_back((now + REPLY, server.accepts(now)));
        }
        (accepted, refused)
    }

    #[test]
    fn the_pace_settles_close_to_the_servers() {
        for (rate, burst) in [
            (14.0, 14.0),
            (14.0, 1.0),
            (1.0, 1.0),
            (100.0, 10.0),
            (5.0, 50.0),
        ] {
            let at = Instant::now();
            let mut server = Server {
                rate,
                burst,
                tokens: burst,
                at,
            };
            let (accepted, refused) = send(&mut server, &Throttle::default(), 180, 60);
            let utilised = f64::from(accepted) / (rate * 120.0);
            let wasted = f64::from(refused) / f64::from(accepted + refused);
            assert!(
                utilised >= 0.9 && wasted <= 0.05,
                "{rate}/{burst}: {utilised:.3} used, {wasted:.3} refused"
            );
        }
    }

    /// Lets a server refuse everything for half a minute, after so many seconds in which it took ten
    /// letters each, and returns how long a hundred letters take after that.
    fn recover(seconds_before: u32) -> Duration {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        for _ in 0..seconds_before * 10 {
            now += Duration::from_millis(100);
            throttle.accepted(now);
        }
        let mended = now + Duration::from_secs(30);
        while now < mended {
            now += reserve(&throttle, now).max(Duration::from_millis(20));
            throttle.refused(now, true);
        }
        for _ in 0..100 {
            now += reserve(&throttle, now).max(Duration::from_millis(20));
            throttle.accepted(now);
        }
        now - mended
    }

    #[test]
    fn letters_leave_soon_after_a_server_that_took_none() {
        for seconds_before in [0, 1, 10] {
            let took = recover(seconds_before);
            assert!(took < Duration::from_secs(60), "{took:?}");
        }
    }

    #[test]
    fn one_request_does_not_stop_a_mailer_that_sends_little() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        throttle.refused(now, true);
        let wait: Duration = (0..5)
            .map(|_| reserve(&throttle, now))
            .max()
            .unwrap_or_default();
        assert!(wait <= Duration::from_secs(4), "{wait:?}");
    }

    #[test]
    fn without_a_request_there_is_no_limit() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(reserve(&throttle, now), Duration::ZERO);
            throttle.accepted(now);
        }
        assert_eq!(throttle.pace(), None);
    }

    #[test]
    fn refusals_count_from_the_first_while_letters_are_tried() {
        let (throttle, first) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.refused_since(first), None);
        let mut now = first;
        for _ in 0..5 {
            throttle.refused(now, true);
            assert_eq!(throttle.refused_since(now), Some(first));
            now += Duration::from_secs(10);
        }
        assert_eq!(throttle.refused_since(now + LIFTED), None, "none is tried");
        assert!(throttle.recent_pace(now + LIFTED).is_some());
        assert_eq!(throttle.recent_pace(now + THROTTLED), None);
        throttle.accepted(now);
        assert_eq!(throttle.refused_since(now), None);
    }

    #[test]
    fn a_limit_that_is_gone_is_given_up() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        throttle.refused(start, true);
        let mut now = start;
        while throttle.pace().is_some() {
            now += reserve(&throttle, now).max(Duration::from_millis(10));
            throttle.accepted(now);
            assert!(
                now < start + Duration::from_secs(600),
                "{:?}",
                throttle.pace()
            );
        }
    }
}

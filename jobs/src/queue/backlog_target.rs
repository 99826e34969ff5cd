//! The part of a backlog that is pushed to the queue at a time.
//!
//! Queued dispatches are first in, first out; fairness applies only in SQL. So the queue gets only as
//! many dispatches as keep the slots busy for a moment. The rest stays in the outbox, where
//! organizations take turns and the first letter of another organization waits behind few others.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::LETTERS_WINDOW;

/// The time within which the waiting letters should be sent.
const AHEAD: Duration = Duration::from_millis(250);

/// The minimum number of letters that may wait, even if the mail server is slow: enough for the slots
/// that become free between two looks of the relay.
const LEAST: usize = 16;

/// The time constant of the average of the pace.
const SPAN: Duration = Duration::from_millis(250);

/// The shortest time over which a pace is measured; a shorter one would be mostly noise.
const SHORTEST: Duration = Duration::from_millis(25);

/// The number of letters that this process finishes per second, and the window computed from it.
#[derive(Debug, Default)]
pub(super) struct BacklogTarget(Mutex<State>);

#[derive(Debug)]
struct State {
    window: f64,
    /// The time of the last measurement, and how many letters had ended by then.
    taken: Option<(Instant, u64)>,
    wanted: usize,
    /// Set if the backlog filled the window, so that an empty queue means a window that is too small.
    was_filled: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            window: LEAST as f64,
            taken: None,
            wanted: 0,
            was_filled: false,
        }
    }
}

impl BacklogTarget {
    /// Returns how many more letters the queue wants while `waiting` wait in it and `ended` have
    /// ended since the start: none until a quarter of the window is free, so that each commit leases
    /// several messages.
    pub(super) fn wanted(&self, now: Instant, ended: u64, waiting: usize) -> usize {
        let mut state = self.lock();
        state.measure(now, ended);
        if waiting == 0 && state.was_filled {
            // The queue ran empty between two looks, so the measured pace is too low.
            state.window *= 2.0;
            state.was_filled = false;
        }
        state.window = state.window.clamp(LEAST as f64, LETTERS_WINDOW as f64);
        let window = state.window as usize;
        let free = window.saturating_sub(waiting);
        state.wanted = if free * 4 >= window { free } else { 0 };
        state.wanted
    }

    /// Records a push of `count` letters.
    pub(super) fn pushed(&self, count: usize) {
        let mut state = self.lock();
        state.was_filled = count >= state.wanted;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn measure(&mut self, now: Instant, ended: u64) {
        let Some((then, before)) = self.taken else {
            self.taken = Some((now, ended));
            return;
        };
        let elapsed = now.saturating_duration_since(then);
        if elapsed < SHORTEST {
            return;
        }
        let pace = ended.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        let weight = 1.0 - (-elapsed.as_secs_f64() / SPAN.as_secs_f64()).exp();
        self.window += weight * (pace * AHEAD.as_secs_f64() - self.window);
        self.taken = Some((now, ended));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a server that sends `letters_per_look` letters between two looks, with an endless
    /// backlog and a look every 5 ms for ten seconds. Returns the maximum number of letters that
    /// waited in the last five seconds.
    fn most_waiting(target: &BacklogTarget, start: Instant, letters_per_look: f64) -> usize {
        let (mut waiting, mut ended, mut owed, mut most) = (0_usize, 0_u64, 0.0, 0);
        for look in 0..2_000_u32 {
            let wanted = target.wanted(start + Duration::from_millis(5) * look, ended, waiting);
            if wanted > 0 {
                target.pushed(wanted);
            }
            waiting += wanted;
            if look >= 1_000 {
                most = most.max(waiting);
            }
            owed += letters_per_look;
            let leaving = waiting.min(owed as usize);
            owed -= leaving as f64;
            waiting -= leaving;
            ended += leaving as u64;
        }
        most
    }

    #[test]
    fn the_window_follows_the_speed_of_the_server() {
        let start = Instant::now();
        assert_eq!(most_waiting(&BacklogTarget::default(), start, 0.05), LEAST);
        let medium = most_waiting(&BacklogTarget::default(), start, 2.0);
        assert!((80..=130).contains(&medium), "400 a second: {medium}");
        let fast = most_waiting(&BacklogTarget::default(), start, 100.0);
        assert_eq!(fast, LETTERS_WINDOW);
    }

    #[test]
    fn the_window_shrinks_after_a_backlog() {
        let target = BacklogTarget::default();
        let start = Instant::now();
        assert!(most_waiting(&target, start, 50.0) > 1_000);
        let later = start + Duration::from_secs(20);
        target.wanted(later, u64::MAX, 0);
        let wanted = target.wanted(later + Duration::from_secs(5), u64::MAX, 0);
        assert!(wanted <= 2 * LEAST, "{wanted}");
    }

    #[test]
    fn few_letters_do_not_widen_the_window() {
        let (target, start) = (BacklogTarget::default(), Instant::now());
        for look in 0..1_000_u32 {
            let now = start + Duration::from_millis(20) * look;
            assert_eq!(target.wanted(now, u64::from(look), 0), LEAST);
            target.pushed(1);
        }
    }

    #[test]
    fn nothing_is_wanted_until_a_quarter_is_free() {
        let (target, now) = (BacklogTarget::default(), Instant::now());
        assert_eq!(target.wanted(now, 0, LEAST - 3), 0);
        assert_eq!(target.wanted(now, 0, LEAST - 4), 4);
    }
}

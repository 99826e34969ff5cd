//! The liveness of a lane: the last poll of its worker, its counters, and its wake-up.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// The time after its last poll from which a worker counts as not polling.
const POLLING_TIMEOUT: Duration = Duration::from_secs(3);

/// The last poll and the counters of a lane's worker, and the notification that wakes it.
#[derive(Debug, Default)]
pub(super) struct LaneLiveness {
    polled_at: Mutex<Option<Instant>>,
    next_poll: Notify,
    wake: Arc<Notify>,
    slots: AtomicUsize,
    running: AtomicUsize,
    ended: AtomicU64,
    restarts: AtomicU64,
}

impl LaneLiveness {
    /// Wakes one idle worker of this lane; if none is waiting, the next wait ends at once.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn wake_ups(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Records that the worker asks for work now.
    pub(super) fn polled(&self) {
        *self.last() = Some(Instant::now());
        self.next_poll.notify_waiters();
    }

    /// Records that no worker asks for work any more.
    pub(super) fn stopped(&self) {
        *self.last() = None;
    }

    /// Waits for the next call of [`polled`](Self::polled).
    pub(super) async fn next_poll(&self) {
        self.next_poll.notified().await;
    }

    pub(super) fn is_polling(&self) -> bool {
        let Some(last) = *self.last() else {
            return false;
        };
        // A worker does not poll while all its slots are taken.
        last.elapsed() < POLLING_TIMEOUT || self.running() >= self.slots.load(Relaxed)
    }

    pub(super) fn set_slots(&self, slots: usize) {
        self.slots.store(slots, Relaxed);
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Relaxed)
    }

    /// Returns the number of handlers that have ended.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Relaxed)
    }

    /// Counts a handler as running until the guard is dropped.
    pub(super) fn start_handler(&self) -> RunningGuard<'_> {
        self.running.fetch_add(1, Relaxed);
        RunningGuard(self)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.polled_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one handler as running until it is dropped.
pub(super) struct RunningGuard<'a>(&'a LaneLiveness);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
        self.0.ended.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_polls_only_between_its_first_poll_and_its_stop() {
        let liveness = LaneLiveness::default();
        liveness.set_slots(1);
        assert!(!liveness.is_polling());
        liveness.polled();
        assert!(liveness.is_polling());
        liveness.stopped();
        assert!(!liveness.is_polling());
    }

    #[test]
    fn a_lane_with_every_slot_taken_counts_as_polling() {
        let liveness = LaneLiveness::default();
        liveness.set_slots(1);
        *liveness.last() = Instant::now().checked_sub(POLLING_TIMEOUT * 2);
        assert!(!liveness.is_polling());
        let running = liveness.start_handler();
        assert!(liveness.is_polling());
        drop(running);
        assert!(!liveness.is_polling());
    }
}

//! The letters that wait for the next slot of the throttle.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::Instant;

use super::throttle::Throttle;

/// The number of letters that a letter which met a request to slow down lets go first.
pub(super) const YIELDS: usize = 4;

/// The queue. Letters that met a request to slow down before let the others go first, so that recipients
/// which always meet it delay no other letter by more than a slot.
#[derive(Debug)]
pub(super) struct ThrottleQueue {
    /// Held by the letter whose turn is next.
    turn: Arc<Mutex<()>>,
    /// Held by the one letter that waits for its turn although it met a request before.
    repeat: Mutex<()>,
    /// Sent whenever a letter comes that met no request yet.
    new: watch::Sender<()>,
}

/// The turn of a letter: while it exists, no other letter takes a slot. Dropped, it takes none itself.
#[derive(Debug)]
pub(super) struct Turn(#[allow(dead_code)] OwnedMutexGuard<()>);

impl Default for ThrottleQueue {
    fn default() -> Self {
        Self {
            turn: Arc::default(),
            repeat: Mutex::default(),
            new: watch::Sender::new(()),
        }
    }
}

impl ThrottleQueue {
    /// Waits for the turn of a letter. `is_repeat` tells that it met a request to slow down before. Dropping
    /// the future takes no slot.
    pub(super) async fn turn(&self, throttle: &Throttle, is_repeat: bool) -> Turn {
        if !is_repeat {
            self.new.send_replace(());
            return self.next_turn(throttle).await;
        }
        let _repeat = self.repeat.lock().await;
        let mut new = self.new.subscribe();
        for _ in 0..YIELDS {
            tokio::select! {
                biased;
                turn = self.next_turn(throttle) => return turn,
                // It goes on behind the new letter.
                _ = new.changed() => {}
            }
        }
        self.next_turn(throttle).await
    }

    async fn next_turn(&self, throttle: &Throttle) -> Turn {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        loop {
            let wait = throttle.until_slot(Instant::now());
            if wait.is_zero() {
                return Turn(turn);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

impl Turn {
    /// Takes the slot and ends the turn.
    pub(super) fn take(self, throttle: &Throttle) {
        throttle.take_slot(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;
    use futures::stream::FuturesUnordered;
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(100);

    /// Makes a throttle with a slot each second, of which the first is taken.
    fn throttle() -> Throttle {
        let throttle = Throttle::default();
        throttle.refused(Instant::now(), true);
        throttle.take_slot(Instant::now());
        throttle
    }

    /// Waits for the turn and takes the slot; returns the time that it took.
    async fn take(queue: &ThrottleQueue, throttle: &Throttle, is_repeat: bool) -> Duration {
        let since = Instant::now();
        queue.turn(throttle, is_repeat).await.take(throttle);
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn letters_that_stop_waiting_take_no_slot() {
        for is_repeat in [false, true] {
            let (queue, throttle, since) = (ThrottleQueue::default(), throttle(), Instant::now());
            let waiting = (0..5).map(|_| timeout(MOMENT, queue.turn(&throttle, is_repeat)));
            let waiting = futures::future::join_all(waiting).await;
            assert!(waiting.iter().all(Result::is_err), "none is due");
            // These had their turn and sent nothing.
            drop(queue.turn(&throttle, is_repeat).await);
            drop(queue.turn(&throttle, is_repeat).await);
            take(&queue, &throttle, is_repeat).await;
            let elapsed = since.elapsed();
            assert!(elapsed < Duration::from_millis(1_100), "{elapsed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn letters_that_met_no_request_go_first() {
        let (queue, throttle) = (ThrottleQueue::default(), throttle());
        let mut repeats: FuturesUnordered<_> =
            (0..10).map(|_| take(&queue, &throttle, true)).collect();
        assert!(timeout(MOMENT, repeats.next()).await.is_err());
        let new = take(&queue, &throttle, false);
        tokio::pin!(new);
        let waited = tokio::select! {
            biased;
            _ = repeats.next() => panic!("a letter that met a request goes first"),
            waited = &mut new => waited,
        };
        assert!(waited < Duration::from_secs(1), "{waited:?}");
        assert_eq!(repeats.count().await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn letters_that_met_a_request_are_not_held_up_for_ever() {
        let (queue, throttle) = (ThrottleQueue::default(), throttle());
        let repeat = take(&queue, &throttle, true);
        tokio::pin!(repeat);
        let mut new = FuturesUnordered::new();
        for taken in 0.. {
            assert!(taken < 3 * YIELDS, "it is held up");
            while new.len() < 2 {
                new.push(take(&queue, &throttle, false));
            }
            tokio::select! {
                biased;
                _ = &mut repeat => return,
                _ = new.next() => {}
            }
        }
    }
}

//! Batches of what many tasks send.

use tokio::sync::mpsc;

/// Receives items in batches. While one batch is worked on, items collect for the next; a single
/// item does not wait for others.
pub(crate) struct Batch<T> {
    receiver: mpsc::UnboundedReceiver<T>,
    most: usize,
    /// The items of the current batch. Those that are left here begin the next one, for example
    /// after a panic.
    pub(crate) items: Vec<T>,
}

impl<T> Batch<T> {
    /// Creates the sender of items, and their batches of at most `most`.
    pub(crate) fn new(most: usize) -> (mpsc::UnboundedSender<T>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let items = Vec::new();
        (
            sender,
            Self {
                receiver,
                most,
                items,
            },
        )
    }

    /// Waits for an item, unless one is left, and adds those that have been sent by then. Returns
    /// `false` if there is none and every sender is gone.
    pub(crate) async fn gather(&mut self) -> bool {
        if self.items.is_empty() {
            let Some(first) = self.receiver.recv().await else {
                return false;
            };
            self.items.push(first);
        }
        // Yields once so that what other tasks send now joins this batch.
        tokio::task::yield_now().await;
        while self.items.len() < self.most
            && let Ok(item) = self.receiver.try_recv()
        {
            self.items.push(item);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_batch_takes_what_waits_up_to_its_limit() {
        let (sender, mut batch) = Batch::new(3);
        for item in 1..=4 {
            sender.send(item).expect("received");
        }
        assert!(batch.gather().await);
        assert_eq!(batch.items, [1, 2, 3]);
        batch.items.clear();
        assert!(batch.gather().await);
        assert_eq!(batch.items, [4]);
    }

    #[tokio::test]
    async fn items_sent_at_the_same_time_join_the_batch() {
        let (sender, mut batch) = Batch::new(3);
        let gathering = tokio::spawn(async move {
            assert!(batch.gather().await);
            batch.items
        });
        tokio::task::yield_now().await;
        sender.send(1).expect("received");
        let other = tokio::spawn(async move { sender.send(2) });
        assert_eq!(gathering.await.expect("no panic"), [1, 2]);
        other.await.expect("no panic").expect("received");
    }

    #[tokio::test]
    async fn items_that_are_left_begin_the_next_batch() {
        let (sender, mut batch) = Batch::new(3);
        sender.send(1).expect("received");
        assert!(batch.gather().await);
        sender.send(2).expect("received");
        assert!(batch.gather().await);
        assert_eq!(batch.items, [1, 2]);
        drop(sender);
        assert!(
            batch.gather().await,
            "they are not lost when every sender is gone"
        );
        batch.items.clear();
        assert!(!batch.gather().await);
    }
}

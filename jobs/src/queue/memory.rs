//! The queue in memory: two lists in this process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, stream};
use guestlist::Ticket;
use tokio::sync::Notify;

use super::{Lane, Lanes};

/// The dispatches that wait in this process. They outlive the worker that takes them.
#[derive(Debug, Default)]
pub(super) struct Memory(Lanes<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    dispatches: Mutex<VecDeque<Ticket>>,
    arrived: Notify,
}

impl Memory {
    pub(super) fn push(&self, lane: Lane, dispatches: &[Ticket]) {
        let waiting = self.0.of(lane);
        let mut queue = waiting.lock();
        for dispatch in dispatches {
            if !queue.contains(dispatch) {
                queue.push_back(*dispatch);
            }
        }
        drop(queue);
        waiting.arrived.notify_one();
    }

    pub(super) fn waiting(&self, lane: Lane) -> usize {
        self.0.of(lane).lock().len()
    }

    /// Takes all waiting dispatches.
    pub(super) fn drain(&self) -> impl Iterator<Item = Ticket> {
        let lanes = Lane::ALL.into_iter();
        lanes.flat_map(|lane| std::mem::take(&mut *self.0.of(lane).lock()))
    }

    /// Returns an endless stream of the lane's dispatches; several streams share them.
    pub(super) fn take(self: Arc<Self>, lane: Lane) -> impl Stream<Item = Ticket> + Send {
        stream::unfold(self, move |memory| async move {
            let dispatch = memory.0.of(lane).next().await;
            Some((dispatch, memory))
        })
    }
}

impl Waiting {
    async fn next(&self) -> Ticket {
        loop {
            if let Some(dispatch) = self.pop() {
                return dispatch;
            }
            self.arrived.notified().await;
        }
    }

    fn pop(&self) -> Option<Ticket> {
        let mut queue = self.lock();
        let dispatch = queue.pop_front();
        if !queue.is_empty() {
            self.arrived.notify_one();
        }
        dispatch
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Ticket>> {
        self.dispatches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

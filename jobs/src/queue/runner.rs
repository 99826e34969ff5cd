//! The runner of a lane: runs the handler of a dispatch, also if the worker that fetched it ends.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt;
use guestlist::Ticket;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Handler, Lane, junk_log::JunkLog, lane_liveness::LaneLiveness, payload::Payload};
use crate::panic_text::panic_text;

/// The state that handlers need to outlive the worker that fetched their dispatches.
///
/// The slots are counted here and not only in apalis, because a restarted worker does not know the
/// handlers that still run for the previous one.
#[derive(Clone)]
pub(super) struct Runner {
    pub(super) lane: Lane,
    pub(super) handler: Handler,
    pub(super) liveness: Arc<LaneLiveness>,
    pub(super) unstarted: Arc<Unstarted>,
    pub(super) junk_log: Arc<JunkLog>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) handlers: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) abandon: CancellationToken,
}

/// Dispatches that were fetched and not started before the stop.
#[derive(Debug, Default)]
pub(super) struct Unstarted(Mutex<Vec<Ticket>>);

impl Unstarted {
    fn add(&self, dispatch: Ticket) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(dispatch);
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> Vec<Ticket> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Runner {
    /// Runs one dispatch to its end. Never fails: a dispatch that cannot run is dispatched again
    /// when its lease expires.
    pub(super) async fn run(self, payload: Payload, task: String) {
        let Payload(Some(dispatch)) = payload else {
            return self.junk_log.entries(1, &task);
        };
        let Ok(_slot) = self.slots.acquire().await else {
            return;
        };
        if self.stop.is_cancelled() {
            return self.unstarted.add(dispatch);
        }
        let _running = self.liveness.start_handler();
        // The end comes first: a handler that is cut off takes no further step.
        tokio::select! {
            biased;
            () = self.abandon.cancelled() => {}
            () = self.contained(dispatch) => {}
        }
    }

    async fn contained(&self, dispatch: Ticket) {
        let handled = async { (self.handler)(self.lane, dispatch).await };
        if let Err(panic) = AssertUnwindSafe(handled).catch_unwind().await {
            tracing::error!(
                message = %dispatch.message,
                generation = dispatch.generation,
                lane = self.lane.name(),
                "a handler panicked; its job runs again when its lease expires: {}",
                panic_text(&*panic)
            );
        }
    }
}

//! The runner of a lane: gives a dispatch to its handler, whatever becomes of the worker.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Dispatch, Handler, Lane, lane_liveness::LaneLiveness, payload::Payload};
use crate::panic_text::panic_text;

/// Everything a handler needs to outlive the worker that fetched its dispatch.
///
/// The slots are counted here and not only in apalis, because a restarted worker knows nothing
/// of the handlers its predecessor left behind.
#[derive(Clone)]
pub(super) struct Runner {
    pub(super) lane: Lane,
    pub(super) handler: Handler,
    pub(super) liveness: Arc<LaneLiveness>,
    pub(super) unstarted: Arc<Unstarted>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) handlers: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) abandon: CancellationToken,
}

/// Dispatches that were fetched and then not started, because the stop came first.
#[derive(Debug, Default)]
pub(super) struct Unstarted(Mutex<Vec<Dispatch>>);

impl Unstarted {
    fn add(&self, dispatch: Dispatch) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(dispatch);
    }

    /// Takes them all.
    pub(super) fn take(&self) -> Vec<Dispatch> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Runner {
    /// Runs one dispatch to its end. Never fails: a dispatch that cannot run is the lease's.
    pub(super) async fn run(self, payload: Payload, task: String) {
        let Payload(Some(dispatch)) = payload else {
            tracing::error!(
                task = shown(&task),
                lane = self.lane.name(),
                "dropped an undecodable dispatch {}",
                shown(&task)
            );
            return;
        };
        let Ok(_slot) = self.slots.acquire().await else {
            return;
        };
        if self.stop.is_cancelled() {
            return self.unstarted.add(dispatch);
        }
        let _running = self.liveness.start_handler();
        self.abandon
            .run_until_cancelled(self.contained(dispatch))
            .await;
    }

    async fn contained(&self, dispatch: Dispatch) {
        let handled = async { (self.handler)(self.lane, dispatch).await };
        if let Err(panic) = AssertUnwindSafe(handled).catch_unwind().await {
            tracing::error!(
                message = %dispatch.message,
                generation = dispatch.generation,
                lane = self.lane.name(),
                "a handler panicked: {}",
                panic_text(&*panic)
            );
        }
    }
}

/// A foreign id may be anything; a log line takes its beginning.
pub(super) fn shown(task: &str) -> String {
    task.chars()
        .take(64)
        .flat_map(char::escape_default)
        .collect()
}

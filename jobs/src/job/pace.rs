//! Waiting for the rate limit of the mail server.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tracing::debug;

use super::desk::NoTurn;
use crate::back_off::jittered;
use crate::mailer::{Gate, Mailer};
use crate::metrics::Metrics;
use crate::queue::Queue;

/// The delay before asking again after Redis failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The queue of one worker's letters for the rate limiter.
///
/// One letter at a time reserves its slot and waits for it, so a process reserves at most one slot
/// ahead, and a letter that leaves the queue has reserved none.
pub(super) struct Pace {
    queue: Queue,
    metrics: Metrics,
    line: Mutex<()>,
}

impl Pace {
    pub(super) fn new(queue: Queue, metrics: Metrics) -> Self {
        Self {
            queue,
            metrics,
            line: Mutex::default(),
        }
    }

    /// Waits until the rate limit allows a letter, or returns an error if the circuit breaker is
    /// open. While Redis does not answer, no letter is sent, because the next free slot is unknown.
    pub(super) async fn keep(&self, mailer: &Mailer) -> Result<(), NoTurn> {
        if !self.queue.is_paced() {
            return Ok(());
        }
        let began = Instant::now();
        let _front = self.line.lock().await;
        let wait = loop {
            if let Gate::Closed { retry_after } = mailer.gate() {
                return Err(NoTurn::Unavailable { retry_after });
            }
            match self.queue.turn().await {
                Ok(wait) => break wait,
                Err(error) => {
                    debug!(%error, "Redis failed; letters wait for the rate limiter: {error}")
                }
            }
            tokio::time::sleep(jittered(RETRY_DELAY)).await;
        };
        tokio::time::sleep(wait).await;
        self.metrics.waited_for_turn(began.elapsed());
        Ok(())
    }
}

//! Waiting for the rate of a mail server that takes only so many letters a second.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tracing::debug;

use super::desk::NoTurn;
use crate::mailer::{Gate, Mailer};
use crate::metrics::Metrics;
use crate::queue::Queue;

/// How long to wait before asking again after Redis failed.
const PAUSE: Duration = Duration::from_millis(500);

/// The line of one worker's letters.
///
/// One at a time asks for its time and waits for it, so a process takes one ahead at most, and
/// letters that leave the line have taken none.
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

    /// Waits until a letter may leave by the rate, or the mail server rests. While Redis does not
    /// answer nobody knows when that is, and so no letter leaves.
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
                Err(error) => debug!(%error, "letters wait for their turn: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        tokio::time::sleep(wait).await;
        self.metrics.waited_for_turn(began.elapsed());
        Ok(())
    }
}

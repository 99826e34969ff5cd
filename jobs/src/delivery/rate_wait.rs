//! The wait for the configured rate of letters.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tracing::debug;

use super::not_admitted::NotAdmitted;
use crate::back_off::jittered;
use crate::mailer::{BreakerState, Mailer};
use crate::metrics::Metrics;
use crate::rate_limiter::RateLimiter;

/// The delay before asking again after Redis failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The letters of one worker that wait for the rate limiter.
///
/// One letter at a time reserves its slot and waits for it, so a process reserves at most one slot
/// ahead, and a letter that stops waiting has reserved none.
pub(super) struct RateWait {
    limiter: RateLimiter,
    metrics: Metrics,
    queue: Mutex<()>,
}

impl RateWait {
    pub(super) fn new(limiter: RateLimiter, metrics: Metrics) -> Self {
        Self {
            limiter,
            metrics,
            queue: Mutex::default(),
        }
    }

    /// Waits until the rate limit allows a letter, or returns an error if the circuit breaker is
    /// open. While Redis does not answer, no letter is sent, because the next free slot is unknown.
    pub(super) async fn wait(&self, mailer: &Mailer) -> Result<(), NotAdmitted> {
        let began = Instant::now();
        let _first = self.queue.lock().await;
        let wait = loop {
            if let BreakerState::Open { .. } = mailer.state() {
                return Err(mailer.unavailable().into());
            }
            match self.limiter.reserve_slot().await {
                Ok(wait) => break wait,
                Err(error) => {
                    debug!(%error, "Redis failed; letters wait for the rate limiter: {error}");
                }
            }
            tokio::time::sleep(jittered(RETRY_DELAY)).await;
        };
        tokio::time::sleep(wait).await;
        self.metrics.waited_for_rate(began.elapsed());
        Ok(())
    }
}

//! Restarts a background task of the worker after a panic.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::back_off::jittered;
use crate::panic_text::panic_text;

/// The delay before a task that panicked is restarted, because the cause is likely still there.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs the future of `start` until it returns, and starts it again after each panic, which is
/// counted and logged. A worker that continued without its relay would never deliver anything again.
pub(crate) async fn restart_on_panic<F: Future<Output = ()>>(
    part: &'static str,
    restarts: Counter,
    stop: CancellationToken,
    start: impl Fn() -> F,
) {
    while let Err(panic) = AssertUnwindSafe(async { start().await })
        .catch_unwind()
        .await
    {
        restarts.inc();
        error!(
            part,
            "the {part} panicked and is started again in {} s: {}",
            RESTART_DELAY.as_secs(),
            panic_text(&*panic)
        );
        let delay = tokio::time::sleep(jittered(RESTART_DELAY));
        if stop.run_until_cancelled(delay).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_started_again_and_counted() {
        let (starts, restarts) = (AtomicUsize::new(0), Counter::default());
        restart_on_panic(
            "part",
            restarts.clone(),
            CancellationToken::new(),
            || async {
                let start = starts.fetch_add(1, Ordering::Relaxed);
                assert!(start >= 1, "once more");
            },
        )
        .await;
        assert_eq!(starts.into_inner(), 2);
        assert_eq!(restarts.get(), 1);
    }

    #[tokio::test]
    async fn a_part_that_panics_delays_no_stop() {
        let (starts, stop) = (AtomicUsize::new(0), CancellationToken::new());
        stop.cancel();
        restart_on_panic("part", Counter::default(), stop, || async {
            starts.fetch_add(1, Ordering::Relaxed);
            panic!("once");
        })
        .await;
        assert_eq!(starts.into_inner(), 1);
    }
}

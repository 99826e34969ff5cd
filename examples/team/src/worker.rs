//! Guestlist's worker inside this process, where there is no Redis to hand its work to others.

use guestlist_jobs::queue::Queue;
use guestlist_jobs::{Context, Worker, work};

use crate::config::Config;

/// The worker, not yet running; none where `guestlist work` runs beside this process.
pub(crate) fn inside(config: &Config, context: Context) -> Option<Worker> {
    if config.worker.redis_url.is_some() {
        return None;
    }
    let queue = match config.worker.smtp_rate {
        Some(rate) => Queue::memory().paced(rate),
        None => Queue::memory(),
    };
    Some(Worker::new(context, queue, work::settings(&config.worker)))
}

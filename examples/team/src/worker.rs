//! Guestlist's worker in this process, for use without Redis.

use guestlist_jobs::queue::Queue;
use guestlist_jobs::{Context, Worker, work};

use crate::config::Config;

/// Creates the worker without starting it. Returns `None` with Redis: then `guestlist work` runs separately.
pub(crate) fn in_process(config: &Config, context: Context) -> Option<Worker> {
    if config.worker.redis_url.is_some() {
        return None;
    }
    let settings = work::settings(&config.worker);
    Some(Worker::new(context, Queue::memory(), settings))
}

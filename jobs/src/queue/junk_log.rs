//! Log lines about foreign and damaged data in Redis: one at once, then one sum every ten seconds.
//!
//! Another program may write hundreds of thousands of entries a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The minimum time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// Counts what was dropped, and logs it.
#[derive(Debug, Default)]
pub(super) struct JunkLog {
    keys: Sum,
    entries: Sum,
    dispatches: Sum,
}

/// The cases of one kind that are not logged yet.
#[derive(Debug, Default)]
struct Sum(Mutex<Cases>);

#[derive(Debug, Default)]
struct Cases {
    count: usize,
    example: String,
    silent_until: Option<Instant>,
}

impl JunkLog {
    /// Adds keys that were deleted because of their type or their size.
    pub(super) fn keys(&self, count: usize, example: &str) {
        self.keys.add(count, example);
        self.flush_at(Instant::now());
    }

    /// Adds entries that are no dispatch of ours.
    pub(super) fn entries(&self, count: usize, example: &str) {
        self.entries.add(count, example);
        self.flush_at(Instant::now());
    }

    /// Adds dispatches that were lost with a worker or with a part of their keys.
    pub(super) fn dispatches(&self, count: usize) {
        self.dispatches.add(count, "");
        self.flush_at(Instant::now());
    }

    /// Logs the sums whose interval is over.
    pub(super) fn flush(&self) {
        self.flush_at(Instant::now());
    }

    fn flush_at(&self, now: Instant) {
        if let Some((keys, example)) = self.keys.due(now) {
            tracing::warn!(
                keys,
                "deleted {keys} damaged keys of the queue in Redis, such as {example}: another program \
                 writes to them; their jobs run again when their leases expire"
            );
        }
        if let Some((entries, example)) = self.entries.due(now) {
            tracing::error!(
                entries,
                "dropped {entries} broken queue entries, such as {}; if one belongs to a job, the job \
                 runs when its lease expires",
                shown(&example)
            );
        }
        if let Some((dispatches, _)) = self.dispatches.due(now) {
            tracing::warn!(
                dispatches,
                "dropped {dispatches} queue entries of workers that ended or with missing keys; their \
                 jobs run again when their leases expire"
            );
        }
    }
}

impl Sum {
    fn add(&self, count: usize, example: &str) {
        if count == 0 {
            return;
        }
        let mut cases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cases.count == 0 {
            example.clone_into(&mut cases.example);
        }
        cases.count += count;
    }

    /// Takes the cases if there are any and the last line of this kind is old enough.
    fn due(&self, now: Instant) -> Option<(usize, String)> {
        let mut cases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cases.count == 0 || cases.silent_until.is_some_and(|until| now < until) {
            return None;
        }
        cases.silent_until = Some(now + INTERVAL);
        Some((
            std::mem::take(&mut cases.count),
            std::mem::take(&mut cases.example),
        ))
    }
}

/// Returns the beginning of a text for a log line, escaped, because an id in Redis may be any text.
fn shown(text: &str) -> String {
    text.chars()
        .take(64)
        .flat_map(char::escape_default)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_cases_are_one_line_and_one_sum() {
        let (sum, now) = (Sum::default(), Instant::now());
        assert_eq!(sum.due(now), None);
        sum.add(2, "a");
        assert_eq!(sum.due(now), Some((2, "a".to_owned())));
        for _ in 0..1_000 {
            sum.add(300, "b");
            assert_eq!(sum.due(now + INTERVAL / 2), None);
        }
        assert_eq!(sum.due(now + INTERVAL), Some((300_000, "b".to_owned())));
        assert_eq!(sum.due(now + INTERVAL * 3), None, "nothing new");
    }

    #[test]
    fn text_of_a_log_line_is_short_and_escaped() {
        assert_eq!(shown("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
        assert_eq!(shown(&"x".repeat(1_000)).len(), 64);
    }
}

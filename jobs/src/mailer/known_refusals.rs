//! The refusals that recipients are known to meet.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The time for which a refusal stays known: until its letter's last try before it is final.
pub(super) const KNOWN: Duration = Duration::from_secs(3 * 60 * 60);

/// The maximum number of refusals that are known.
const CAPACITY: usize = 1_024;

/// Recipients and fingerprints of refusals, bounded in time and size.
#[derive(Debug, Default)]
pub(super) struct KnownRefusals(BTreeMap<(u64, u64), Times>);

/// The number of times that a refusal was added, and the last time.
#[derive(Debug, Clone, Copy)]
struct Times {
    count: u32,
    last: Instant,
}

impl KnownRefusals {
    /// Returns whether a refusal is known.
    pub(super) fn contains(&self, now: Instant, recipient: u64, fingerprint: u64) -> bool {
        self.count(now, (recipient, fingerprint)) > 0
    }

    /// Returns how often a refusal was added.
    pub(super) fn count(&self, now: Instant, refusal: (u64, u64)) -> u32 {
        let known = self.0.get(&refusal).filter(|times| times.is_known(now));
        known.map_or(0, |times| times.count)
    }

    /// Adds a refusal and returns how often it was added.
    pub(super) fn add(&mut self, now: Instant, refusal: (u64, u64)) -> u32 {
        self.extend(now, [refusal].into_iter());
        self.count(now, refusal)
    }

    /// Adds refusals, and forgets the oldest if there are too many.
    pub(super) fn extend(&mut self, now: Instant, refusals: impl Iterator<Item = (u64, u64)>) {
        for refusal in refusals {
            let count = self.count(now, refusal).saturating_add(1);
            self.0.insert(refusal, Times { count, last: now });
        }
        if self.0.len() <= CAPACITY {
            return;
        }
        self.0.retain(|_, times| times.is_known(now));
        let known = self.0.iter().map(|(known, times)| (times.last, *known));
        let mut by_time: Vec<_> = known.collect();
        by_time.sort_unstable();
        let excess = by_time.len().saturating_sub(CAPACITY);
        for (_, known) in &by_time[..excess] {
            self.0.remove(known);
        }
    }

    /// Forgets the refusals of a recipient, because a letter to it was accepted.
    pub(super) fn forget(&mut self, recipient: u64) {
        let all = (recipient, 0)..=(recipient, u64::MAX);
        let known: Vec<_> = self.0.range(all).map(|(known, _)| *known).collect();
        for known in known {
            self.0.remove(&known);
        }
    }
}

impl Times {
    fn is_known(self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) <= KNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_refusals_stay_known() {
        let (mut known, mut now) = (KnownRefusals::default(), Instant::now());
        let (count, capacity) = (CAPACITY as u64 + 100, CAPACITY as u64);
        for number in 0..count {
            now += Duration::from_secs(2);
            known.extend(now, [(number, 550)].into_iter());
        }
        let late = now + Duration::from_secs(60 * 60);
        let is_known = |number: &u64| known.contains(late, *number, 550);
        let latest: Vec<u64> = (0..count).filter(is_known).collect();
        assert_eq!(latest, Vec::from_iter(count - capacity..count));
        assert!(!known.contains(now + 2 * KNOWN, count - 1, 550));
    }

    #[test]
    fn refusals_are_counted_until_they_are_forgotten() {
        let (mut known, now) = (KnownRefusals::default(), Instant::now());
        for (recipient, fingerprint, expected) in [(1, 9, 1), (1, 9, 2), (2, 9, 1), (1, 8, 1)] {
            assert_eq!(known.add(now, (recipient, fingerprint)), expected);
        }
        known.forget(1);
        assert!(!known.contains(now, 1, 9) && !known.contains(now, 1, 8));
        assert_eq!(known.add(now, (1, 9)), 1);
        assert_eq!(known.add(now, (2, 9)), 2, "of another recipient");
        assert_eq!(known.add(now + 2 * KNOWN, (2, 9)), 1, "long ago");
    }
}

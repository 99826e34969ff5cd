//! The refusals that are known to be their recipients' own.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The time for which a refusal stays known: until its letter's last try before it is final.
pub(super) const INDIVIDUAL: Duration = Duration::from_secs(3 * 60 * 60);

/// The maximum number of refusals that are known.
const CAPACITY: usize = 1_024;

/// Recipients and fingerprints of refusals, bounded in time and size.
#[derive(Debug, Default)]
pub(super) struct IndividualRefusals(HashMap<(u64, u64), Instant>);

impl IndividualRefusals {
    /// Returns whether a refusal is known.
    pub(super) fn contains(&self, now: Instant, recipient: u64, fingerprint: u64) -> bool {
        let at = self.0.get(&(recipient, fingerprint));
        at.is_some_and(|at| now.saturating_duration_since(*at) <= INDIVIDUAL)
    }

    /// Adds refusals, and forgets the oldest if there are too many.
    pub(super) fn extend(&mut self, now: Instant, refusals: impl Iterator<Item = (u64, u64)>) {
        self.0.extend(refusals.map(|refusal| (refusal, now)));
        if self.0.len() <= CAPACITY {
            return;
        }
        self.0
            .retain(|_, at| now.saturating_duration_since(*at) <= INDIVIDUAL);
        let mut by_time: Vec<_> = self.0.iter().map(|(known, at)| (*at, *known)).collect();
        by_time.sort_unstable();
        let excess = by_time.len().saturating_sub(CAPACITY);
        for (_, known) in &by_time[..excess] {
            self.0.remove(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_individual_refusals_stay_known() {
        let (mut known, mut now) = (IndividualRefusals::default(), Instant::now());
        let (count, capacity) = (CAPACITY as u64 + 100, CAPACITY as u64);
        for number in 0..count {
            now += Duration::from_secs(2);
            known.extend(now, [(number, 550)].into_iter());
        }
        let late = now + Duration::from_secs(60 * 60);
        let is_known = |number: &u64| known.contains(late, *number, 550);
        let latest: Vec<u64> = (0..count).filter(is_known).collect();
        assert_eq!(latest, Vec::from_iter(count - capacity..count));
        assert!(!known.contains(now + 2 * INDIVIDUAL, count - 1, 550));
    }
}

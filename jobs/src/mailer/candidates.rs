//! The choice of the letter that tries whether the mail server takes letters again.

use std::time::Duration;

use tokio::time::Instant;

use super::memory::LetterKey;

/// The time for which a waiting letter is preferred to others. Letters wait for less.
const PREFERRED: Duration = Duration::from_secs(5);

/// The maximum number of domains that are remembered.
const CAPACITY: usize = 16;

/// A letter that may be the probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) letter: LetterKey,
    /// True if the server accepted a letter to the same domain lately.
    pub(super) is_domain_accepted: bool,
    /// The time since which it waits.
    pub(super) since: Instant,
}

/// The letters that wait while the circuit breaker is open, and the domains of probes that told
/// nothing about the server.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    waiting: Vec<(u64, Candidate)>,
    next: u64,
    inconclusive: Vec<u64>,
}

impl Candidates {
    /// Adds a waiting letter and returns its number.
    pub(super) fn add(&mut self, candidate: Candidate) -> u64 {
        self.next += 1;
        self.waiting.push((self.next, candidate));
        self.next
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.waiting.retain(|(other, _)| *other != number);
    }

    /// Returns whether no other waiting letter is the better probe.
    pub(super) fn is_best(&self, now: Instant, candidate: &Candidate, openers: &[u64]) -> bool {
        let rank = self.rank(candidate, openers);
        let mut others = self.waiting.iter().map(|(_, other)| other);
        !others.any(|other| {
            now.saturating_duration_since(other.since) < PREFERRED
                && self.rank(other, openers) < rank
        })
    }

    /// Records a probe that was refused for its recipient alone.
    pub(super) fn was_inconclusive(&mut self, letter: LetterKey) {
        let domain = letter.domain();
        if !self.inconclusive.contains(&domain) {
            self.inconclusive.truncate(CAPACITY - 1);
            self.inconclusive.insert(0, domain);
        }
    }

    /// Forgets the probes, because letters pass again or were stopped anew.
    pub(super) fn forget_probes(&mut self) {
        self.inconclusive.clear();
    }

    /// Returns the rank as a probe, the best first: to a domain that accepted lately, to another, to one
    /// whose probe told nothing, and last to the recipients whose refusal stopped the letters.
    fn rank(&self, candidate: &Candidate, openers: &[u64]) -> u8 {
        let letter = candidate.letter;
        if openers.contains(&letter.recipient()) {
            3
        } else if self.inconclusive.contains(&letter.domain()) {
            2
        } else {
            u8::from(!candidate.is_domain_accepted)
        }
    }
}

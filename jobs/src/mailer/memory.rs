//! The results of the last minutes, by which a refusal is judged.
//!
//! One reply does not tell whether the server refuses a recipient or everybody. The same refusal for
//! several recipients, with no letter accepted in between, is the server's or the sender's; a refusal
//! of one recipient while others are accepted is that recipient's.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use guestlist::OrganizationId;
use tokio::time::Instant;

use super::evidence::{ASKED, Evidence, Spread};
use super::known_refusals::KnownRefusals;

/// The time for which results count.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// The delay of a letter whose refusal may be the server's or its own.
pub(super) const UNCERTAIN: Duration = Duration::from_secs(30);

/// The time for which a refusal counts although letters were accepted since: [`ASKED`] tries of a letter
/// that is uncertain, and two delays of slack.
const RECENT: Duration = UNCERTAIN.saturating_mul(ASKED as u32 + 2);

/// The maximum number of refusals that are remembered.
const CAPACITY: usize = 512;

/// The number of acceptances whose domains are remembered.
const DOMAINS: usize = 64;

/// The odds against chance above which these requests are the recipient's own.
const SURE: f64 = 1_000_000.0;

/// A letter, as far as the judgement needs it: hashes, so that no address is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LetterKey {
    recipient: u64,
    domain: u64,
    organization: u64,
}

impl LetterKey {
    /// Makes the key of a letter to `recipient`; a letter without an organization is the host's own.
    pub(crate) fn new(recipient: &str, organization: Option<OrganizationId>) -> Self {
        let domain = recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
        Self {
            recipient: hashed(&recipient.to_lowercase()),
            domain: hashed(&domain.to_lowercase()),
            organization: hashed(&organization.map(|id| id.as_uuid())),
        }
    }

    /// Returns the hash of the recipient.
    pub(super) fn recipient(self) -> u64 {
        self.recipient
    }

    /// Returns the hash of the recipient's domain.
    pub(super) fn domain(self) -> u64 {
        self.domain
    }
}

fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The memory of one mailer, bounded in time and size.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The refusals since the last acceptance.
    refusals: VecDeque<Refusal>,
    /// The refusals within [`RECENT`], also those before the last acceptance.
    recent: VecDeque<Refusal>,
    /// The recipients and refusals after which a letter to another recipient was accepted.
    individual: KnownRefusals,
    /// The recipients and refusals that came too often to be the server's to everybody.
    repeated: KnownRefusals,
    /// The recipients whose letters met a fault of the server since one was accepted, whatever its words.
    faults: KnownRefusals,
    /// The recipients whose letters met a request to slow down since one was accepted.
    throttled: KnownRefusals,
    /// True if the last letter that met no such request before was accepted.
    accepts_new: bool,
    /// The number of letters accepted so far.
    acceptances: u64,
    accepted: Option<(Instant, LetterKey)>,
    /// The acceptance before it of a letter to another recipient.
    accepted_other: Option<(Instant, LetterKey)>,
    /// The domains of the last accepted letters.
    accepted_domains: VecDeque<(Instant, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    at: Instant,
    letter: LetterKey,
    fingerprint: u64,
    /// The number of letters accepted before it.
    acceptances: u64,
}

impl Memory {
    /// Records an accepted letter.
    pub(super) fn accepted(&self, now: Instant, letter: LetterKey) {
        let mut state = self.lock();
        state.keep_individual(now, letter);
        state.accepts_new |= !state.throttled.contains(now, letter.recipient, 0);
        state.forget_recipient(letter.recipient);
        state.acceptances += 1;
        if let Some(last) = state.accepted
            && last.1.recipient != letter.recipient
        {
            state.accepted_other = Some(last);
        }
        state.accepted = Some((now, letter));
        state.accepted_domains.truncate(DOMAINS - 1);
        state.accepted_domains.push_front((now, letter.domain));
    }

    /// Returns whether another letter to the same domain was accepted lately.
    pub(super) fn accepts_domain(&self, now: Instant, letter: LetterKey) -> bool {
        let state = self.lock();
        let mut accepted = state.accepted_domains.iter();
        accepted.any(|(at, domain)| {
            *domain == letter.domain && now.saturating_duration_since(*at) <= WINDOW
        })
    }

    /// Records a refused letter and returns the evidence about its refusal, given in the form that is
    /// the same for every recipient.
    pub(super) fn refused(&self, now: Instant, letter: LetterKey, refusal: &str) -> Evidence {
        let fingerprint = hashed(&refusal);
        let mut state = self.lock();
        state.forget(now);
        let refusal = Refusal {
            at: now,
            letter,
            fingerprint,
            acceptances: state.acceptances,
        };
        state.refusals.push_back(refusal);
        state.recent.push_back(refusal);
        state.keep_repeated(&refusal);
        state.evidence(&refusal)
    }

    /// Records a fault of the server that stops no other letter, and returns how many met letters to this
    /// recipient since one was accepted.
    pub(super) fn fault(&self, now: Instant, letter: LetterKey) -> u32 {
        self.lock().faults.add(now, (letter.recipient, 0))
    }

    /// Records a request to slow down, and returns whether it tells something new about the server: a
    /// recipient that meets it again and again does not, as long as letters to others are accepted at their
    /// first try.
    pub(super) fn throttled(&self, now: Instant, letter: LetterKey) -> bool {
        let mut state = self.lock();
        let is_new = state.throttled.add(now, (letter.recipient, 0)) == 1;
        state.accepts_new &= !is_new;
        !state.accepts_new
    }

    /// Returns whether a letter to this recipient met a request to slow down since one was accepted.
    pub(super) fn is_throttled(&self, now: Instant, letter: LetterKey) -> bool {
        self.lock().throttled.contains(now, letter.recipient, 0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refusal {
    /// Returns the recipient and the fingerprint.
    fn key(&self) -> (u64, u64) {
        (self.letter.recipient, self.fingerprint)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        for (refusals, time) in [(&mut self.refusals, WINDOW), (&mut self.recent, RECENT)] {
            let is_old = |refusal: &Refusal| now.saturating_duration_since(refusal.at) > time;
            while refusals.front().is_some_and(is_old) || refusals.len() >= CAPACITY {
                refusals.pop_front();
            }
        }
    }

    /// Forgets the refusals because a letter was accepted, and keeps that they are their recipients' own.
    fn keep_individual(&mut self, now: Instant, accepted: LetterKey) {
        let refusals: HashSet<_> = self.refusals.drain(..).map(|it| it.key()).collect();
        let others = refusals.into_iter();
        let others = others.filter(|(recipient, _)| *recipient != accepted.recipient);
        self.individual.extend(now, others);
    }

    /// Forgets what is known of a recipient, because it accepts letters.
    fn forget_recipient(&mut self, recipient: u64) {
        for known in [
            &mut self.individual,
            &mut self.repeated,
            &mut self.faults,
            &mut self.throttled,
        ] {
            known.forget(recipient);
        }
    }

    /// Keeps that a refusal is its recipient's own if it came too often.
    fn keep_repeated(&mut self, refusal: &Refusal) {
        let (odds, rounds) = self.odds(refusal);
        if odds >= SURE && rounds >= ASKED {
            self.repeated
                .extend(refusal.at, [refusal.key()].into_iter());
        }
    }

    /// Returns the odds against meeting a refusal so often by chance, and the number of times. Refusals
    /// without a letter accepted between them count as one.
    ///
    /// The probability of one more is taken from the other recipients: those with the same refusal
    /// lately, and the letters accepted since the first refusal of this one.
    fn odds(&self, refusal: &Refusal) -> (f64, usize) {
        let recent = self.recent.iter();
        let (own, others): (Vec<&Refusal>, Vec<&Refusal>) = recent
            .filter(|other| other.fingerprint == refusal.fingerprint)
            .partition(|other| other.letter.recipient == refusal.letter.recipient);
        let is_doubtful = |(recipient, fingerprint): &(u64, u64)| {
            !self.repeated.contains(refusal.at, *recipient, *fingerprint)
        };
        let others = others.iter().map(|other| other.key()).filter(is_doubtful);
        let refused = distinct(others.map(|(recipient, _)| recipient)).len();
        let rounds = distinct(own.iter().map(|own| own.acceptances)).len();
        let before = own.first().map_or(self.acceptances, |own| own.acceptances);
        let accepted = self.acceptances - before;
        let one_in = 1.0 + accepted as f64 / refused.max(1) as f64;
        (one_in.powi(rounds as i32 - 1), rounds)
    }

    fn evidence(&self, refusal: &Refusal) -> Evidence {
        let Refusal {
            at: now,
            letter,
            fingerprint,
            ..
        } = *refusal;
        let same = || {
            let same = self.refusals.iter();
            same.filter(|refusal| refusal.fingerprint == fingerprint)
                .map(|refusal| refusal.letter)
        };
        let recent = self.recent.iter();
        let recent = recent.filter(|refusal| refusal.fingerprint == fingerprint);
        let recent: Vec<&Refusal> = recent.collect();
        let recent_letters = || recent.iter().map(|refusal| refusal.letter);
        let recent_domains = distinct(recent_letters().map(|letter| letter.domain));
        let recent_recipients = distinct(recent_letters().map(|letter| letter.recipient));
        let since = recent.first().map_or(now, |refusal| refusal.at);
        let mut accepted_domains = self.accepted_domains.iter();
        let is_doubtful = |letter: &LetterKey| {
            let individual = &self.individual;
            !individual.contains(now, letter.recipient, fingerprint)
        };
        let is_other = |accepted: &(Instant, LetterKey)| {
            let (at, accepted) = accepted;
            accepted.recipient != letter.recipient && now.saturating_duration_since(*at) <= WINDOW
        };
        let accepted = [self.accepted, self.accepted_other];
        let others = || accepted.iter().flatten();
        Evidence {
            recipients: distinct(same().map(|letter| letter.recipient))
                .into_iter()
                .collect(),
            doubtful: Spread {
                recipients: distinct(same().filter(is_doubtful).map(|letter| letter.recipient))
                    .len(),
                domains: distinct(same().filter(is_doubtful).map(|letter| letter.domain)).len(),
                organizations: distinct(
                    same().filter(is_doubtful).map(|letter| letter.organization),
                )
                .len(),
            },
            others_are_accepted: others().any(is_other),
            other_domains_are_accepted: accepted_domains.any(|(at, domain)| {
                *domain != letter.domain && now.saturating_duration_since(*at) <= WINDOW
            }),
            rounds: self.individual.count(now, (letter.recipient, fingerprint)),
            recent: recent.len(),
            recent_own: recent_letters()
                .filter(|recent| recent.recipient == letter.recipient)
                .count(),
            recent_domains: recent_domains.len(),
            recent_recipients: recent_recipients.len(),
            others_are_accepted_meanwhile: others()
                .any(|accepted| is_other(accepted) && accepted.0 >= since),
            odds: self.odds(refusal).0,
            is_repeated: self.repeated.contains(now, letter.recipient, fingerprint),
        }
    }
}

fn distinct(values: impl Iterator<Item = u64>) -> HashSet<u64> {
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::super::known_refusals::KNOWN;
    use super::*;

    fn letter(number: usize) -> LetterKey {
        LetterKey::new(&format!("user{number}@domain{number}.example"), None)
    }

    #[test]
    fn what_is_known_of_a_recipient_ends_when_it_accepts() {
        let (memory, now) = (Memory::default(), Instant::now());
        let refused = || {
            memory.throttled(now, letter(0));
            (
                memory.refused(now, letter(0), "450").rounds,
                memory.fault(now, letter(0)),
            )
        };
        for expected in [(0, 1), (1, 2), (2, 3)] {
            assert_eq!(refused(), expected);
            memory.accepted(now, letter(9));
        }
        assert!(memory.is_throttled(now, letter(0)));
        memory.accepted(now, letter(0));
        assert!(!memory.is_throttled(now, letter(0)));
        assert_eq!(refused(), (0, 1));
    }

    #[test]
    fn refusals_known_to_be_individual_are_not_everybodys() {
        let (memory, now) = (Memory::default(), Instant::now());
        let refuse = |now, numbers: std::ops::Range<usize>| {
            let refused = numbers.map(|number| memory.refused(now, letter(number), "550"));
            refused.last().unwrap_or_default()
        };
        assert!(refuse(now, 0..5).is_everybody());
        memory.accepted(now, letter(9));
        let later = now + Duration::from_secs(2 * 60 * 60);
        assert!(
            !refuse(later, 0..5).is_everybody(),
            "they were refused before"
        );
        assert!(!refuse(later, 5..7).is_everybody(), "two others");
        assert!(refuse(later, 7..8).is_everybody(), "three others");
        memory.accepted(later, letter(9));
        assert!(refuse(later + 2 * KNOWN, 0..3).is_everybody(), "long ago");
    }
}

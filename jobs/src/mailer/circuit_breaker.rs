//! The circuit breaker in front of the mail server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::candidates::{Candidate, Candidates};
use super::cause::{Announced, Cause, Probe};
use super::memory::LetterKey;
use super::settings::MailerSettings;
use crate::back_off::BackOff;

/// The state of the circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Letters pass.
    Closed,
    /// The back-off is over, and one letter or connection may try.
    HalfOpen,
    /// The server failed or refuses us; nothing is tried.
    Open {
        /// The time until the next try.
        retry_after: Duration,
    },
}

/// The time for which a half-open breaker prefers a letter that did not open it. After it, a letter
/// that did may try: it may be the only one.
const PREFERENCE: Duration = Duration::from_secs(5);

/// The time after the back-off without a probe from which on no letter waits for the breaker.
const NOTHING_WAITS: Duration = Duration::from_secs(30);

/// Stops letters after a failure that concerns all of them. Once the back-off is over it admits one
/// probe, and all letters after its success.
///
/// The epoch changes whenever the state changes. Only letters admitted in the current epoch change
/// the state, so sixteen connections that break at once count as one failure.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    state: Mutex<State>,
    changed: Notify,
    back_off: BackOff,
    pause: BackOff,
}

#[derive(Debug)]
struct State {
    epoch: u64,
    /// Failures since the last accepted letter.
    failures: u32,
    /// The time of the first of them.
    failing_since: Option<Instant>,
    opening: Option<Opening>,
    is_probing: bool,
    candidates: Candidates,
    /// The kind of failure that was logged since the last accepted letter, if one was.
    announced: Option<Announced>,
}

#[derive(Debug)]
struct Opening {
    until: Instant,
    cause: Cause,
}

/// The right to try one letter. Dropped without a report, it lets another letter be the probe.
#[derive(Debug)]
pub(super) struct BreakerPermit {
    breaker: Arc<CircuitBreaker>,
    epoch: u64,
    /// `None` for a connection without a letter.
    letter: Option<LetterKey>,
}

/// A letter that waits for its permit. While it waits, a letter that would be a worse probe is not
/// admitted.
#[derive(Debug)]
pub(super) struct WaitingLetter {
    breaker: Arc<CircuitBreaker>,
    candidate: Candidate,
    number: u64,
}

impl CircuitBreaker {
    pub(super) fn new(settings: &MailerSettings) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                epoch: 0,
                failures: 0,
                failing_since: None,
                opening: None,
                is_probing: false,
                candidates: Candidates::default(),
                announced: None,
            }),
            changed: Notify::new(),
            back_off: settings.back_off,
            pause: settings.pause,
        })
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        self.lock().breaker_state(now, self.back_off.first)
    }

    /// Resolves at the next change of the state.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Returns the reason why letters are stopped, or that no connection is free.
    pub(super) fn cause(&self) -> String {
        let state = self.lock();
        let opening = state.opening.as_ref();
        opening.map_or_else(
            || "no connection to the mail server is free".to_owned(),
            |opening| opening.cause.text.clone(),
        )
    }

    /// Returns the reason why letters are stopped, if a person has to fix it. It is unknown whether
    /// they have to be while none is tried.
    pub(super) fn paused(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        let cause = state.tried(now).map(|opening| &opening.cause)?;
        let remedy = cause.remedy?;
        Some(format!("{}; {remedy}", cause.text))
    }

    /// Returns whether letters are stopped and tried.
    pub(super) fn stops(&self, now: Instant) -> bool {
        self.lock().tried(now).is_some()
    }

    /// Returns the time since which no letter was accepted while letters are stopped and tried.
    pub(super) fn stopped_since(&self, now: Instant) -> Option<Instant> {
        let state = self.lock();
        state.failing_since.filter(|_| state.tried(now).is_some())
    }

    /// Returns the time of the next connection probe, if that is how the breaker is to be closed.
    pub(super) fn connection_probe_at(&self) -> Option<Instant> {
        let state = self.lock();
        let opening = state.opening.as_ref()?;
        (opening.cause.probe == Probe::Connection).then_some(opening.until)
    }

    /// Lets a letter wait for its permit.
    pub(super) fn wait(self: &Arc<Self>, candidate: Candidate) -> WaitingLetter {
        WaitingLetter {
            breaker: Arc::clone(self),
            number: self.lock().candidates.add(candidate),
            candidate,
        }
    }

    /// Makes the permit of a connection probe.
    pub(super) fn admit_connection(self: &Arc<Self>) -> BreakerPermit {
        let mut state = self.lock();
        state.is_probing = true;
        BreakerPermit {
            breaker: Arc::clone(self),
            epoch: state.epoch,
            letter: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops letters and returns the time until the next try.
    ///
    /// A refusal of several letters is a suspicion: the first probe follows at once, and only its
    /// failure is logged.
    fn open(&self, state: &mut State, now: Instant, mut cause: Cause) -> Duration {
        let is_suspicion = state.failures == 0 && cause.is_of_several_letters();
        if state.failures > 0 {
            cause.remedy = cause.remedy.or(cause.remedy_if_lasting);
        }
        state.failures = state.failures.saturating_add(1);
        state.failing_since.get_or_insert(now);
        let wait = match (is_suspicion, cause.remedy) {
            (true, _) => Duration::ZERO,
            (false, None) => self.back_off.after(state.failures),
            (false, Some(_)) => self.pause.after(state.failures),
        };
        if !is_suspicion {
            let announced = cause.announced();
            cause.log(wait, state.failures, state.announced >= Some(announced));
            state.announced = state.announced.max(Some(announced));
        }
        state.turn(Some(Opening {
            until: now + wait,
            cause,
        }));
        self.changed.notify_waiters();
        wait
    }

    fn close(&self, state: &mut State) {
        if state.opening.is_some() {
            tracing::info!("the mail server accepts letters again");
            state.turn(None);
            self.changed.notify_waiters();
        }
    }
}

impl State {
    /// Returns why letters are stopped, unless none was tried since long after the back-off: then no
    /// letter waits here, and the server may have recovered.
    fn tried(&self, now: Instant) -> Option<&Opening> {
        let opening = self.opening.as_ref()?;
        (self.is_probing || now < opening.until + NOTHING_WAITS).then_some(opening)
    }

    /// Returns the state at `now`. While a probe is under way its end is unknown, so other letters
    /// are told to wait `a_moment`.
    fn breaker_state(&self, now: Instant, a_moment: Duration) -> BreakerState {
        let Some(opening) = &self.opening else {
            return BreakerState::Closed;
        };
        let rest = opening.until.saturating_duration_since(now);
        match (rest.is_zero(), self.is_probing) {
            (true, false) => BreakerState::HalfOpen,
            (true, true) => BreakerState::Open {
                retry_after: a_moment,
            },
            (false, _) => BreakerState::Open { retry_after: rest },
        }
    }

    /// Returns whether the letter may be the probe of a half-open breaker.
    fn takes_as_probe(&self, now: Instant, candidate: &Candidate) -> bool {
        let Some(opening) = &self.opening else {
            return true;
        };
        match &opening.cause.probe {
            Probe::Connection => false,
            Probe::Letter(openers) => {
                let is_opener = openers.contains(&candidate.letter.recipient());
                (!is_opener || now >= opening.until + PREFERENCE)
                    && self.candidates.is_best(now, candidate, openers)
            }
        }
    }

    fn turn(&mut self, opening: Option<Opening>) {
        self.epoch += 1;
        self.opening = opening;
        self.is_probing = false;
        self.candidates.forget_probes();
    }
}

impl WaitingLetter {
    /// Admits the letter, or returns the time to wait.
    pub(super) fn admit(&self, now: Instant) -> Result<BreakerPermit, Duration> {
        let mut state = self.breaker.lock();
        let a_moment = self.breaker.back_off.first;
        match state.breaker_state(now, a_moment) {
            BreakerState::Open { retry_after } => return Err(retry_after),
            BreakerState::HalfOpen if !state.takes_as_probe(now, &self.candidate) => {
                return Err(a_moment);
            }
            BreakerState::HalfOpen => state.is_probing = true,
            BreakerState::Closed => {}
        }
        Ok(BreakerPermit {
            breaker: Arc::clone(&self.breaker),
            epoch: state.epoch,
            letter: Some(self.candidate.letter),
        })
    }
}

impl Drop for WaitingLetter {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        state.candidates.remove(self.number);
        let a_moment = self.breaker.back_off.first;
        if state.breaker_state(Instant::now(), a_moment) == BreakerState::HalfOpen {
            self.breaker.changed.notify_waiters();
        }
    }
}

impl BreakerPermit {
    /// Returns the time to wait if letters were stopped after this one was admitted. Also applies
    /// once the back-off is over: the letter that may try then has a permit of its own.
    pub(super) fn revoked(&self, now: Instant) -> Option<Duration> {
        let state = self.breaker.lock();
        let a_moment = self.breaker.back_off.first;
        match state.breaker_state(now, a_moment) {
            _ if state.epoch == self.epoch => None,
            BreakerState::Closed => None,
            BreakerState::HalfOpen => Some(a_moment),
            BreakerState::Open { retry_after } => Some(retry_after),
        }
    }

    /// Resolves once letters are stopped after this one was admitted.
    pub(super) async fn revocation(&self) {
        loop {
            let changed = self.breaker.changed();
            if self.revoked(Instant::now()).is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Reports an accepted letter: letters pass again.
    pub(super) fn accepted(self) {
        let mut state = self.breaker.lock();
        if state.epoch == self.epoch {
            state.failures = 0;
            state.failing_since = None;
            state.announced = None;
            self.breaker.close(&mut state);
        }
    }

    /// Reports a successful connection probe: letters pass again, and the back-off goes on from where
    /// it was if the next letter fails.
    pub(super) fn connected(self) {
        let mut state = self.breaker.lock();
        if state.epoch == self.epoch {
            self.breaker.close(&mut state);
        }
    }

    /// Reports a failure that concerns all letters, and returns the time until the next try.
    pub(super) fn failed(&self, now: Instant, cause: Cause) -> Duration {
        let mut state = self.breaker.lock();
        if state.epoch == self.epoch {
            return self.breaker.open(&mut state, now, cause);
        }
        let until = state.opening.as_ref().map(|opening| opening.until);
        until.map_or(self.breaker.back_off.first, |until| {
            until.saturating_duration_since(now)
        })
    }
}

impl Drop for BreakerPermit {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if state.epoch == self.epoch && state.is_probing {
            state.is_probing = false;
            if let Some(letter) = self.letter {
                state.candidates.was_inconclusive(letter);
            }
            self.breaker.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the permit of a letter that is the only one.
    fn permit(breaker: &Arc<CircuitBreaker>, now: Instant) -> BreakerPermit {
        let letter = breaker.wait(Candidate {
            letter: LetterKey::new("a@example.com", None),
            is_domain_accepted: false,
            since: now,
        });
        letter.admit(now).expect("admitted")
    }

    #[test]
    fn stop_counts_from_the_first_failure_while_letters_are_tried() {
        let breaker = CircuitBreaker::new(&MailerSettings::default());
        let cause = || Cause::of_text("421 busy".to_owned());
        let first = Instant::now();
        assert_eq!(breaker.stopped_since(first), None);
        let mut now = first;
        for failures in 0..5 {
            let permit = permit(&breaker, now);
            let is_tried = breaker.stopped_since(now + NOTHING_WAITS * 9) == Some(first);
            assert_eq!(is_tried, failures > 0, "as long as the probe takes");
            let wait = permit.failed(now, cause());
            assert_eq!(breaker.stopped_since(now), Some(first));
            now += wait;
        }
        assert_eq!(breaker.stopped_since(now), Some(first));
        now += NOTHING_WAITS;
        assert_eq!(breaker.stopped_since(now), None, "no probe came");
        permit(&breaker, now).accepted();
        assert_eq!(breaker.stopped_since(now), None);
        permit(&breaker, now).failed(now, cause());
        assert_eq!(breaker.stopped_since(now), Some(now));
    }

    /// Another worker may send all letters meanwhile.
    #[test]
    fn pause_ends_when_no_letter_probes() {
        let breaker = CircuitBreaker::new(&MailerSettings::default());
        let mut cause = Cause::of_text("535 no".to_owned());
        cause.remedy = Some("look at SMTP_URL");
        let now = Instant::now();
        let wait = permit(&breaker, now).failed(now, cause);
        let last = now + wait + NOTHING_WAITS - Duration::from_millis(1);
        assert!(breaker.stops(last) && breaker.paused(last).is_some());
        let later = now + wait + NOTHING_WAITS;
        assert!(!breaker.stops(later) && breaker.paused(later).is_none());
        let probe = permit(&breaker, later);
        assert!(
            breaker.stops(later) && breaker.paused(later).is_some(),
            "tried again"
        );
        probe.accepted();
        assert!(!breaker.stops(later));
    }
}

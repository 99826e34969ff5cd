//! The circuit breaker in front of the mail server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::deadlines::Deadlines;
use super::verdict::{Outcome, Verdict};
use crate::back_off::BackOff;

/// The state of the circuit breaker, read before messages are leased. An open gate lets letters
/// pass, a closed one stops them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The server accepts letters.
    Open,
    /// The back-off is over and one letter may try.
    Probe,
    /// The server or our configuration failed; nothing is attempted.
    Closed {
        /// The time until the next check.
        retry_after: Duration,
    },
}

/// The circuit breaker between callers and the mail server. It stops letters after a failure; once
/// the back-off is over it admits one letter as a probe, and all letters after a success.
///
/// The epoch changes whenever the state changes. Only letters admitted in the current epoch change
/// the state, so sixteen connections that break at once count as one failure.
#[derive(Debug)]
pub(super) struct Gatekeeper {
    state: Mutex<State>,
    back_off: BackOff,
    pause: BackOff,
}

#[derive(Debug)]
struct State {
    epoch: u64,
    faults: u32,
    /// The time at which a letter may try again; `None` while letters pass.
    until: Option<Instant>,
    probing: bool,
    /// The problem that a person has to fix before letters leave again.
    paused: Option<String>,
}

/// The right to attempt one letter. Dropped without a report, it lets another letter be the probe.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gatekeeper>,
    epoch: u64,
}

impl Gatekeeper {
    pub(super) fn new(deadlines: &Deadlines) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                epoch: 0,
                faults: 0,
                until: None,
                probing: false,
                paused: None,
            }),
            back_off: deadlines.back_off,
            pause: deadlines.pause,
        })
    }

    pub(super) fn state(&self, now: Instant) -> Gate {
        self.lock().gate(now, self.back_off.first)
    }

    /// Returns the problem that a person has to fix before letters leave again, as of the last
    /// attempt.
    pub(super) fn paused(&self) -> Option<String> {
        self.lock().paused.clone()
    }

    /// Admits one letter, or returns the time to wait.
    pub(super) fn admit(self: &Arc<Self>, now: Instant) -> Result<Pass, Duration> {
        let mut state = self.lock();
        match state.gate(now, self.back_off.first) {
            Gate::Closed { retry_after } => return Err(retry_after),
            Gate::Probe => state.probing = true,
            Gate::Open => {}
        }
        Ok(Pass {
            gate: Arc::clone(self),
            epoch: state.epoch,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, state: &mut State, now: Instant, outcome: &Outcome) -> Duration {
        match outcome {
            Outcome::ServerFault(why) | Outcome::Unknown(why) => {
                let rest = self.close(state, now, self.back_off);
                tracing::warn!(%why, retry_in = ?rest, failures = state.faults, "the mail server failed; letters wait until the next attempt");
                rest
            }
            Outcome::Ours(why) => {
                let rest = self.close(state, now, self.pause);
                state.paused = Some(why.clone());
                tracing::error!(%why, retry_in = ?rest, failures = state.faults, "the mail server refuses this worker; letters wait until the cause is fixed");
                rest
            }
            _ => {
                if state.until.is_some() {
                    tracing::info!("the mail server accepts letters again");
                    state.turn(None);
                }
                state.faults = 0;
                Duration::ZERO
            }
        }
    }

    fn close(&self, state: &mut State, now: Instant, rests: BackOff) -> Duration {
        state.faults = state.faults.saturating_add(1);
        let rest = rests.after(state.faults);
        state.turn(Some(now + rest));
        rest
    }
}

impl State {
    /// Returns the state at `now`. While a probe is under way its end is unknown, so other letters
    /// are told to wait `a_moment`.
    fn gate(&self, now: Instant, a_moment: Duration) -> Gate {
        let Some(until) = self.until else {
            return Gate::Open;
        };
        let rest = until.saturating_duration_since(now);
        match (rest.is_zero(), self.probing) {
            (true, false) => Gate::Probe,
            (true, true) => Gate::Closed {
                retry_after: a_moment,
            },
            (false, _) => Gate::Closed { retry_after: rest },
        }
    }

    fn turn(&mut self, until: Option<Instant>) {
        self.epoch += 1;
        self.until = until;
        self.probing = false;
        self.paused = None;
    }
}

impl Pass {
    /// Returns the time to wait if letters were stopped after this one was admitted. Also applies
    /// once the back-off is over: the one letter that may try then has a pass of its own.
    pub(super) fn revoked(&self, now: Instant) -> Option<Duration> {
        let state = self.gate.lock();
        match state.gate(now, self.gate.back_off.first) {
            _ if state.epoch == self.epoch => None,
            Gate::Open => None,
            Gate::Probe => Some(self.gate.back_off.first),
            Gate::Closed { retry_after } => Some(retry_after),
        }
    }

    /// Reports the outcome to the circuit breaker and completes the verdict.
    pub(super) fn report(self, now: Instant, outcome: Outcome) -> Verdict {
        let gate = &self.gate;
        let mut state = gate.lock();
        let retry_after = if state.epoch == self.epoch {
            gate.settle(&mut state, now, &outcome)
        } else {
            state.until.map_or(gate.back_off.first, |until| {
                until.saturating_duration_since(now)
            })
        };
        drop(state);
        outcome.verdict(retry_after)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if state.epoch == self.epoch {
            state.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn gate() -> Arc<Gatekeeper> {
        Gatekeeper::new(&Deadlines::default())
    }

    fn fault() -> Outcome {
        Outcome::ServerFault("refused".into())
    }

    fn success() -> Outcome {
        Outcome::Accepted("250".into())
    }

    /// Returns the time at which the back-off is over.
    fn rest_over(gate: &Gatekeeper, now: Instant) -> Instant {
        match gate.state(now) {
            Gate::Closed { retry_after } => now + retry_after,
            _ => now,
        }
    }

    #[test]
    fn after_a_fault_one_letter_tries_first_and_its_success_opens_for_all() {
        let (gate, mut now) = (gate(), Instant::now());
        gate.admit(now).unwrap().report(now, fault());
        assert!(matches!(gate.state(now), Gate::Closed { .. }));
        assert!(gate.admit(now).is_err());
        now = rest_over(&gate, now);
        assert_eq!(gate.state(now), Gate::Probe);
        let probe = gate.admit(now).unwrap();
        assert!(gate.admit(now).is_err(), "only one letter tries");
        probe.report(now, success());
        assert_eq!(gate.state(now), Gate::Open);
        assert!(gate.admit(now).is_ok());
    }

    #[test]
    fn rests_double_with_jitter_up_to_a_minute_and_start_anew_after_success() {
        let (gate, mut now) = (gate(), Instant::now());
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let Verdict::ServerFault { retry_after, .. } =
                gate.admit(now).unwrap().report(now, fault())
            else {
                panic!("a server's fault stays one");
            };
            let part = retry_after.as_secs_f64() / expected;
            assert!(
                (1.0..1.2).contains(&part),
                "{retry_after:?} of {expected} s"
            );
            now = rest_over(&gate, now);
        }
        gate.admit(now).unwrap().report(now, success());
        gate.admit(now).unwrap().report(now, fault());
        let Gate::Closed { retry_after } = gate.state(now) else {
            panic!("closed")
        };
        assert!(retry_after <= Duration::from_millis(1200));
    }

    #[test]
    fn our_own_fault_pauses_for_a_minute() {
        let (gate, now) = (gate(), Instant::now());
        gate.admit(now)
            .unwrap()
            .report(now, Outcome::Ours("535".into()));
        let Gate::Closed { retry_after } = gate.state(now) else {
            panic!("closed")
        };
        assert!(retry_after >= Duration::from_secs(60));
    }

    #[test]
    fn many_connections_that_break_at_once_are_one_fault() {
        let (gate, now) = (gate(), Instant::now());
        let passes: Vec<Pass> = (0..16).map(|_| gate.admit(now).unwrap()).collect();
        for pass in passes {
            pass.report(now, fault());
        }
        let Gate::Closed { retry_after } = gate.state(now) else {
            panic!("closed")
        };
        assert!(retry_after <= Duration::from_millis(1200));
    }

    #[test]
    fn a_late_success_from_before_the_fault_does_not_open() {
        let (gate, now) = (gate(), Instant::now());
        let early = gate.admit(now).unwrap();
        gate.admit(now).unwrap().report(now, fault());
        assert!(early.revoked(now).is_some());
        let later = rest_over(&gate, now);
        assert!(early.revoked(later).is_some(), "it is not the probe");
        early.report(now, success());
        assert!(matches!(gate.state(now), Gate::Closed { .. }));
    }

    #[test]
    fn a_probe_given_up_lets_another_letter_try() {
        let (gate, mut now) = (gate(), Instant::now());
        gate.admit(now).unwrap().report(now, fault());
        now = rest_over(&gate, now);
        drop(gate.admit(now).unwrap());
        assert_eq!(gate.state(now), Gate::Probe);
    }

    #[test]
    fn a_recipients_fault_leaves_the_gate_open() {
        let (gate, now) = (gate(), Instant::now());
        for outcome in [Outcome::Deferred, Outcome::Refused, Outcome::LetterFault] {
            gate.admit(now).unwrap().report(now, outcome("no".into()));
            assert_eq!(gate.state(now), Gate::Open);
        }
    }
}

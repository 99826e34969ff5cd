//! What the server does instead of what it should.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where in the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Before the greeting.
    Connect,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// In the middle of the letter.
    Body,
    /// After the final dot.
    End,
    Rset,
}

/// What is done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Gives this reply instead of the right one; a letter is not accepted by it.
    Say(String),
    /// Gives this reply and closes the connection.
    SayAndHangUp(String),
    /// Says nothing for so long and closes the connection. After the final dot the letter is accepted.
    Stall(Duration),
    /// Closes the connection. After the final dot the letter is accepted, and its client never told.
    HangUp,
    /// Closes the connection after the final dot without having accepted the letter.
    Lose,
    /// Gives reply lines without end, for as long as anybody listens.
    Flood,
    /// Gives the right reply byte by byte, with so long a pause between them.
    Slowly(Duration),
    /// Gives the right reply after so long.
    Late(Duration),
}

/// When what is done.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    verb: Verb,
    act: Act,
    recipient: Option<String>,
    until: Option<Instant>,
    times: Option<u32>,
}

impl Rule {
    /// Does `act` at `verb`, always and for everybody.
    pub(crate) fn new(verb: Verb, act: Act) -> Self {
        Self {
            verb,
            act,
            recipient: None,
            until: None,
            times: None,
        }
    }

    /// Only for the recipients whose local part holds `mark`; nobody's is known before `RCPT`.
    pub(crate) fn to(self, mark: &str) -> Self {
        Self {
            recipient: Some(mark.to_owned()),
            ..self
        }
    }

    /// Only for so long from now.
    pub(crate) fn lasting(self, time: Duration) -> Self {
        Self {
            until: Some(Instant::now() + time),
            ..self
        }
    }

    /// Only so many times; for recipients, each so many times.
    pub(crate) fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.times == Some(0) || self.until.is_some_and(|until| until <= now)
    }

    fn applies(&self, verb: Verb, recipient: Option<&str>) -> bool {
        let marked = |mark: &String| {
            let local = recipient.and_then(|recipient| recipient.split('@').next());
            local.is_some_and(|local| local.contains(mark.as_str()))
        };
        self.verb == verb && self.recipient.as_ref().is_none_or(marked)
    }
}

/// The rules that are in force; the first that applies is followed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Rules>>);

#[derive(Debug, Default)]
struct Rules {
    rules: Vec<Rule>,
    /// Whom a rule with a number of times was applied to, by its place, and how often.
    applied: std::collections::HashMap<(usize, String), u32>,
}

impl Script {
    /// Adds a rule.
    pub(crate) fn add(&self, rule: Rule) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .rules
            .push(rule);
    }

    /// What to do now, if it is not what is right.
    pub(super) fn act(&self, verb: Verb, recipient: Option<&str>) -> Option<Act> {
        let now = Instant::now();
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Rules { rules, applied } = &mut *script;
        for (place, rule) in rules.iter_mut().enumerate() {
            if rule.is_over(now) || !rule.applies(verb, recipient) {
                continue;
            }
            match (&mut rule.times, &rule.recipient, recipient) {
                (Some(times), Some(_), Some(recipient)) => {
                    let count = applied.entry((place, recipient.to_owned())).or_default();
                    if count >= times {
                        continue;
                    }
                    *count += 1;
                }
                (Some(times), _, _) => *times -= 1,
                (None, _, _) => {}
            }
            return Some(rule.act.clone());
        }
        None
    }
}

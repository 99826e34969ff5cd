//! Rules that make the server misbehave.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A point in the SMTP session at which a rule may apply.
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

/// An action that replaces the normal reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sends this reply. After the final dot, the letter is not accepted.
    Reply(String),
    /// Sends this reply and closes the connection. After the final dot, the letter is not accepted.
    ReplyAndHangUp(String),
    /// Sends nothing for this time and closes the connection. After the final dot, the letter is accepted.
    Stall(Duration),
    /// Closes the connection. After the final dot, the letter is accepted, but the client gets no reply.
    HangUp,
    /// Closes the connection after the final dot, and the letter is not accepted.
    Lose,
    /// Sends reply lines until the client closes the connection. After the final dot, the letter is accepted.
    Flood,
    /// Sends the normal reply byte by byte with this pause after each.
    ReplySlowly(Duration),
    /// Sends the normal reply after this time.
    ReplyLate(Duration),
}

/// An action, and the condition under which it happens.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    verb: Verb,
    action: Action,
    recipient: Option<String>,
    until: Option<Instant>,
    times: Option<u32>,
}

impl Rule {
    /// Performs `action` at `verb`, always and for every recipient.
    pub(crate) fn new(verb: Verb, action: Action) -> Self {
        Self {
            verb,
            action,
            recipient: None,
            until: None,
            times: None,
        }
    }

    /// Limits the rule to recipients whose local part contains `mark`. It cannot apply before `RCPT`.
    pub(crate) fn to(self, mark: &str) -> Self {
        Self {
            recipient: Some(mark.to_owned()),
            ..self
        }
    }

    /// Ends the rule after this time from now.
    pub(crate) fn lasting(self, time: Duration) -> Self {
        Self {
            until: Some(Instant::now() + time),
            ..self
        }
    }

    /// Limits how often the rule applies; a rule for marked recipients counts each recipient separately.
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

/// The active rules. The first one that applies decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Rules>>);

#[derive(Debug, Default)]
struct Rules {
    rules: Vec<Rule>,
    /// Number of times that a rule, by its index, was applied to a recipient.
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

    /// Returns the action that replaces the normal reply, if a rule applies, and counts the use.
    pub(super) fn action_at(&self, verb: Verb, recipient: Option<&str>) -> Option<Action> {
        let now = Instant::now();
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Rules { rules, applied } = &mut *script;
        for (index, rule) in rules.iter_mut().enumerate() {
            if rule.is_over(now) || !rule.applies(verb, recipient) {
                continue;
            }
            match (&mut rule.times, &rule.recipient, recipient) {
                (Some(times), Some(_), Some(recipient)) => {
                    let count = applied.entry((index, recipient.to_owned())).or_default();
                    if count >= times {
                        continue;
                    }
                    *count += 1;
                }
                (Some(times), _, _) => *times -= 1,
                (None, _, _) => {}
            }
            return Some(rule.action.clone());
        }
        None
    }
}

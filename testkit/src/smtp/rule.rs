//! A rule: an action, and the condition under which it happens.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::action::Action;
use super::stage::Stage;

/// An [`Action`] at a [`Stage`], and the condition under which it happens. Without a condition it happens
/// always. Of several rules that apply, the one that was added first acts.
#[derive(Debug, Clone)]
pub struct Rule {
    stage: Stage,
    action: Action,
    mark: Option<String>,
    skip: usize,
    every: usize,
    times: usize,
    starts: Option<Instant>,
    ends: Option<Instant>,
    connections: usize,
    rate: Option<usize>,
    /// The times of the uses in the last second that were within the rate.
    within_rate: VecDeque<Instant>,
    /// The number of uses so far, by recipient if the rule has a mark.
    uses: HashMap<String, usize>,
}

impl Rule {
    /// Performs `action` at `stage`, always.
    pub fn new(stage: Stage, action: impl Into<Action>) -> Self {
        Self {
            stage,
            action: action.into(),
            mark: None,
            skip: 0,
            every: 1,
            times: usize::MAX,
            starts: None,
            ends: None,
            connections: 0,
            rate: None,
            within_rate: VecDeque::new(),
            uses: HashMap::new(),
        }
    }

    /// Limits the rule to recipients whose address contains `mark`; a mark without an `@` is looked for in
    /// the local part. Uses are then counted for each recipient. There is no recipient before RCPT.
    pub fn to(self, mark: impl Into<String>) -> Self {
        Self {
            mark: Some(mark.into()),
            ..self
        }
    }

    /// Skips the first uses of the stage. A use that an earlier rule acted on is not counted.
    pub fn skip(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// Acts on every n-th use only.
    ///
    /// # Panics
    /// If `every` is 0.
    pub fn every(mut self, every: usize) -> Self {
        assert!(every > 0, "every 0th use is none");
        (self.skip, self.every) = (self.skip + every - 1, every);
        self
    }

    /// Ends the rule when it has acted so often.
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Starts the rule this time from now.
    pub fn starting_in(self, time: Duration) -> Self {
        Self {
            starts: Some(Instant::now() + time),
            ..self
        }
    }

    /// Ends the rule this time from now.
    pub fn ending_in(self, time: Duration) -> Self {
        Self {
            ends: Some(Instant::now() + time),
            ..self
        }
    }

    /// Acts only while more than this number of connections are open, the one in question included.
    pub fn above_connections(self, connections: usize) -> Self {
        Self {
            connections,
            ..self
        }
    }

    /// Lets this number of uses pass within any second, and acts on the others.
    pub fn above_rate(self, per_second: usize) -> Self {
        Self {
            rate: Some(per_second),
            ..self
        }
    }

    /// Returns the action if the rule applies, and counts the use.
    pub(super) fn act(&mut self, point: &Point<'_>) -> Option<Action> {
        let is_in_time =
            self.starts.is_none_or(|starts| starts <= point.now) && !self.is_over(point.now);
        let applies = self.stage == point.stage
            && is_in_time
            && point.connections > self.connections
            && self.is_for(point.recipient)
            && self.is_above_rate(point.now);
        (applies && self.is_due(point.recipient)).then(|| self.action.clone())
    }

    /// True if the rule never acts again.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    fn is_for(&self, recipient: Option<&str>) -> bool {
        let Some(mark) = &self.mark else { return true };
        recipient.is_some_and(|recipient| match recipient.rsplit_once('@') {
            Some((local_part, _)) if !mark.contains('@') => local_part.contains(mark.as_str()),
            _ => recipient.contains(mark.as_str()),
        })
    }

    fn is_above_rate(&mut self, now: Instant) -> bool {
        let Some(rate) = self.rate else { return true };
        let second = Duration::from_secs(1);
        while let Some(oldest) = self.within_rate.front()
            && now.duration_since(*oldest) >= second
        {
            self.within_rate.pop_front();
        }
        let is_above = self.within_rate.len() >= rate;
        if !is_above {
            self.within_rate.push_back(now);
        }
        is_above
    }

    fn is_due(&mut self, recipient: Option<&str>) -> bool {
        let recipient = recipient.filter(|_| self.mark.is_some());
        let uses = self.uses.entry(recipient.unwrap_or_default().to_owned());
        let uses = uses.or_default();
        *uses += 1;
        let Some(index) = (*uses - 1).checked_sub(self.skip) else {
            return false;
        };
        index.is_multiple_of(self.every) && index / self.every < self.times
    }
}

/// The moment in a session for which a rule is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point<'a> {
    pub(super) stage: Stage,
    pub(super) recipient: Option<&'a str>,
    /// The number of open connections.
    pub(super) connections: usize,
    pub(super) now: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rule() -> Rule {
        Rule::new(Stage::Rcpt, Action::HangUp)
    }

    fn point(now: Instant) -> Point<'static> {
        Point {
            stage: Stage::Rcpt,
            recipient: Some("bob@acme.example"),
            connections: 1,
            now,
        }
    }

    /// The uses, counted from 1, on which the rule acts.
    fn acts_on(mut rule: Rule) -> Vec<u8> {
        let now = Instant::now();
        (1..=9)
            .filter(|_| rule.act(&point(now)).is_some())
            .collect()
    }

    #[test]
    fn uses_are_skipped_chosen_and_limited() {
        assert_eq!(acts_on(rule()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(acts_on(rule().times(2)), [1, 2]);
        assert_eq!(acts_on(rule().skip(2).times(1)), [3]);
        assert_eq!(acts_on(rule().every(3)), [3, 6, 9]);
        assert_eq!(acts_on(rule().every(4).times(1)), [4]);
        assert_eq!(acts_on(rule().skip(2).every(2).times(2)), [4, 6]);
        assert!(acts_on(Rule::new(Stage::Data, Action::HangUp)).is_empty());
    }

    #[test]
    fn marked_recipients_are_counted_apart() {
        let mut rule = rule().to("gone").times(1);
        let now = Instant::now();
        let mut acts = |recipient| {
            let recipient = Some(recipient);
            let point = Point {
                recipient,
                ..point(now)
            };
            rule.act(&point).is_some()
        };
        assert!(acts("is-gone@acme.example"));
        assert!(!acts("is-gone@acme.example"));
        assert!(acts("gone-too@acme.example"));
        assert!(!acts("bob@gone.example"));
    }

    #[test]
    fn mark_with_an_at_sign_names_a_domain_or_an_address() {
        let applies = |mark: &str| rule().to(mark).act(&point(Instant::now())).is_some();
        assert!(applies("@acme.example") && applies("bob@acme.example"));
        assert!(!applies("@bob.example") && !applies("acme"));
        let nobody = Point {
            recipient: None,
            ..point(Instant::now())
        };
        assert!(rule().to("bob").act(&nobody).is_none());
    }

    #[test]
    fn rule_acts_within_its_time() {
        let start = Instant::now();
        let mut rule = rule().starting_in(2 * SECOND).ending_in(5 * SECOND);
        let acts = [1, 3, 6].map(|s| rule.act(&point(start + s * SECOND)).is_some());
        assert_eq!(acts, [false, true, false]);
        assert!(rule.is_over(start + 6 * SECOND) && !rule.is_over(start + 3 * SECOND));
    }

    #[test]
    fn uses_within_the_rate_pass() {
        let start = Instant::now();
        let mut rule = rule().above_rate(2);
        let mut acts = |ms| {
            rule.act(&point(start + Duration::from_millis(ms)))
                .is_some()
        };
        // Refused uses do not count, so the third passes as soon as the first is a second ago.
        assert_eq!(
            [0, 300, 600, 999].map(&mut acts),
            [false, false, true, true]
        );
        assert_eq!([1000, 1100, 1300].map(acts), [false, true, false]);
    }

    #[test]
    fn only_surplus_connections_are_affected() {
        let mut rule = rule().above_connections(4);
        let acts = [4, 5].map(|connections| {
            let point = Point {
                connections,
                ..point(Instant::now())
            };
            rule.act(&point).is_some()
        });
        assert_eq!(acts, [false, true]);
    }
}

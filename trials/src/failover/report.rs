//! The counts of a trial.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::sink::Accepted;

/// A master that was killed.
pub(super) struct Failover {
    pub(super) killed_at: DateTime<Utc>,
    /// Number of dispatches that it held.
    pub(super) dispatches: u64,
    /// Time until another server was the master.
    pub(super) promotion: Duration,
    /// Time until a worker began a letter after the promotion.
    pub(super) next_letter: Option<Duration>,
}

/// The counts of a trial.
#[derive(Default)]
pub(super) struct Report {
    invited: usize,
    letters: usize,
    lost: usize,
    unexpected: usize,
    twice: usize,
    pub(super) recovered: i64,
    pub(super) drained: Option<Duration>,
    failovers: Vec<Failover>,
}

impl Report {
    pub(super) fn new(
        invited: &[String],
        letters: &[Accepted],
        mut failovers: Vec<Failover>,
    ) -> Self {
        let mut received: HashMap<&str, Vec<&Accepted>> = HashMap::new();
        for letter in letters {
            received.entry(&letter.to).or_default().push(letter);
        }
        for failover in &mut failovers {
            // Counts from the promotion: until then workers send what the killed master had already dispatched.
            let begun = letters.iter().filter_map(|letter| {
                let since = (letter.began_at - failover.killed_at).to_std().ok()?;
                (since >= failover.promotion).then_some(since)
            });
            failover.next_letter = begun.min();
        }
        let mut report = Self {
            invited: invited.len(),
            letters: letters.len(),
            failovers,
            ..Self::default()
        };
        for email in invited {
            match received.remove(email.as_str()).map(|all| all.len()) {
                None => report.lost += 1,
                Some(copies) => report.twice += copies - 1,
            }
        }
        report.unexpected = received.values().map(Vec::len).sum();
        report
    }

    pub(super) fn is_kept(&self) -> bool {
        self.lost + self.unexpected + self.twice == 0
            && self.drained.is_some()
            && self
                .failovers
                .iter()
                .all(|failover| failover.next_letter.is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Option<Duration>| {
            time.map_or("never".to_owned(), |time| {
                format!("after {:.1} s", time.as_secs_f64())
            })
        };
        for failover in &self.failovers {
            writeln!(
                f,
                "a master was killed with {} dispatches; another was promoted {}, and the next letter \
                 was begun {}",
                failover.dispatches,
                seconds(Some(failover.promotion)),
                seconds(failover.next_letter)
            )?;
        }
        writeln!(f, "{:>8}  invited", self.invited)?;
        writeln!(f, "{:>8}  letters", self.letters)?;
        writeln!(
            f,
            "{:>8}  recovered: settled under a second or later lease",
            self.recovered
        )?;
        writeln!(f, "must be zero")?;
        writeln!(f, "{:>8}  lost", self.lost)?;
        writeln!(f, "{:>8}  unexpected", self.unexpected)?;
        writeln!(f, "{:>8}  sent twice", self.twice)?;
        match self.drained {
            Some(time) => writeln!(
                f,
                "drained {:.1} s after the last invitation",
                time.as_secs_f64()
            )?,
            None => writeln!(f, "NOT DRAINED before the time-out")?,
        }
        f.write_str(if self.is_kept() {
            "every recipient got exactly one letter"
        } else {
            "A PROMISE WAS BROKEN"
        })
    }
}

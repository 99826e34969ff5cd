//! A table of the actual and the expected counts of each case.

use std::collections::HashMap;
use std::fmt;

use super::case::{Case, Outcome};
use crate::sink::{Accepted, Entry};

/// A table with a row for each case.
pub(super) struct Table {
    rows: Vec<Row>,
    invitations: usize,
}

struct Row {
    case: Case,
    letters: usize,
    lost: usize,
    twice: usize,
    /// Recipients whose copies have different bytes.
    different: usize,
    wrong: Option<String>,
}

impl Table {
    pub(super) fn new(
        outcomes: Vec<(Case, anyhow::Result<Outcome>)>,
        log: &[Entry],
        invitations: usize,
    ) -> Self {
        let row = |(case, outcome)| Row::new(case, outcome, log, invitations);
        Self {
            rows: outcomes.into_iter().map(row).collect(),
            invitations,
        }
    }

    /// Returns true if there is a row and every count is as expected.
    pub(super) fn is_as_expected(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::is_as_expected)
    }
}

impl Row {
    fn new(
        case: Case,
        outcome: anyhow::Result<Outcome>,
        log: &[Entry],
        invitations: usize,
    ) -> Self {
        let mut copies: HashMap<&str, Vec<&Accepted>> = HashMap::new();
        let prefix = format!("{}-", case.name());
        for entry in log {
            if let Entry::Accepted(letter) = entry
                && letter.to.starts_with(&prefix)
            {
                copies.entry(&letter.to).or_default().push(letter);
            }
        }
        let letters = copies.values().map(Vec::len).sum();
        let is_different = |copies: &&Vec<&Accepted>| {
            let mut pairs = copies.windows(2);
            pairs.any(|pair| pair[0].sha256 != pair[1].sha256)
        };
        Self {
            case,
            letters,
            lost: invitations.saturating_sub(copies.len()),
            twice: letters - copies.len(),
            different: copies.values().filter(is_different).count(),
            wrong: match outcome {
                Err(error) => Some(format!("{error:#}")),
                Ok(Outcome { recorded }) if recorded == invitations as i64 => None,
                Ok(Outcome { recorded }) => {
                    Some(format!("the database records {recorded} as sent"))
                }
            },
        }
    }

    fn is_as_expected(&self) -> bool {
        self.lost == 0
            && self.case.twice().contains(&self.twice)
            && self.different == 0
            && self.wrong.is_none()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28}{:<7}{:>8}{:>6}{:>7}{:>10}  bytes",
            "step", "fault", "letters", "lost", "twice", "expected"
        )?;
        for row in &self.rows {
            let bytes = match (row.twice, row.different) {
                (0, _) => "",
                (_, 0) => "identical",
                _ => "DIFFERENT",
            };
            let twice = row.case.twice();
            let expected = match (twice.start(), twice.end()) {
                (least, most) if least == most => most.to_string(),
                (least, most) => format!("{least} or {most}"),
            };
            write!(
                f,
                "{:<28}{:<7}{:>8}{:>6}{:>7}{expected:>10}  {bytes:<9}",
                row.case.description,
                row.case.fault.as_str(),
                row.letters,
                row.lost,
                row.twice
            )?;
            if !row.is_as_expected() {
                write!(f, "  NOT AS EXPECTED")?;
            }
            if let Some(wrong) = &row.wrong {
                write!(f, ": {wrong}")?;
            }
            writeln!(f)?;
        }
        let sum = |count: fn(&Row) -> usize| self.rows.iter().map(count).sum::<usize>();
        write!(
            f,
            "cases={} invitations={} letters={} lost={} twice={} different={}",
            self.rows.len(),
            self.rows.len() * self.invitations,
            sum(|row| row.letters),
            sum(|row| row.lost),
            sum(|row| row.twice),
            sum(|row| row.different)
        )
    }
}

//! What became of every promise.

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;
use uuid::Uuid;

use super::duplicate::explanation;
use super::observations::{Facts, Promise};
use crate::chaos::fault::{Fault, Incident};
use crate::host::Deed;
use crate::sink::Accepted;

/// How many examples of what must not be are shown.
const EXAMPLES: usize = 10;

/// How long after Postgres is back a worker may end that could not reach it: its pool waits 30 s for
/// its first connection.
const STARTING: TimeDelta = TimeDelta::seconds(33);

/// The counts of a trial, and what must not be in words.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    invitations: usize,
    committed: usize,
    promised: usize,
    delivered: usize,
    notices: usize,
    not_owed: BTreeMap<&'static str, usize>,
    recovered: usize,
    waiting: usize,
    close_calls: usize,
    duplicates: BTreeMap<&'static str, usize>,
    faults: BTreeMap<Fault, usize>,
    lost: Vec<String>,
    unexpected: Vec<String>,
    different: Vec<String>,
    unexplained: Vec<String>,
    wrong: Vec<String>,
}

impl Facts {
    /// Judges every promise, every letter and every deed.
    pub(crate) fn judge(&self) -> Verdict {
        let mut verdict = Verdict {
            invitations: self.invitations.len(),
            promised: self
                .promises
                .values()
                .filter(|promise| promise.letter().is_some())
                .count(),
            notices: self
                .promises
                .values()
                .filter(|promise| promise.notice().is_some())
                .count(),
            recovered: self.recovered(),
            waiting: self.waiting.len(),
            ..Verdict::default()
        };
        for incident in &self.incidents {
            *verdict.faults.entry(incident.fault).or_default() += 1;
        }
        self.judge_exits(&mut verdict);
        self.judge_deeds(&mut verdict);
        self.judge_promises(&mut verdict);
        self.judge_letters(&mut verdict);
        self.judge_state(&mut verdict);
        verdict
    }

    /// How many were sent although somebody else had held them before.
    fn recovered(&self) -> usize {
        let again = self
            .settled
            .iter()
            .filter(|(_, settled)| settled.generation > 1);
        again
            .filter(|(id, _)| self.letters.contains_key(id))
            .count()
    }

    /// A worker ends by itself where Postgres is down at its start, and for nothing else: never once
    /// it works.
    fn judge_exits(&self, verdict: &mut Verdict) {
        let of = |fault| self.incidents.iter().filter(move |one| one.fault == fault);
        for exit in of(Fault::WorkerExit) {
            let name = exit.process.as_deref().unwrap_or("a worker");
            let is_down = |outage: &Incident| {
                let until = outage.until.map(|until| until + STARTING);
                outage.from <= exit.from && until.is_none_or(|until| exit.from <= until)
            };
            if self.worked.contains(name) || !of(Fault::PostgresStop).any(is_down) {
                verdict
                    .wrong
                    .push(format!("{name} ended by itself at {}", exit.from));
            }
        }
    }

    /// What a host was told to be committed is in the database, and what was not told may be.
    fn judge_deeds(&self, verdict: &mut Verdict) {
        for deed in &self.deeds {
            let (ids, kind) = match deed {
                Deed::Invited(ids) => (ids.clone(), "invitation_created"),
                Deed::Resent(id) => (vec![*id], "invitation_resent"),
                Deed::Revoked(id) => (vec![*id], "invitation_revoked"),
                Deed::Accepted(id) => (vec![*id], "invitation_accepted"),
            };
            for id in ids {
                verdict.committed += 1;
                let course = self.courses.get(&id.as_uuid());
                if !course.is_some_and(|course| course.has(kind)) {
                    verdict.lost.push(format!(
                        "{kind} of {id} was committed and is not in the database"
                    ));
                }
            }
        }
    }

    fn judge_promises(&self, verdict: &mut Verdict) {
        let promised = self.promised_letters();
        for invitation in self.invitations.values() {
            let numbers = promised.get(&invitation.id).copied().unwrap_or_default();
            if numbers != invitation.letters {
                let (id, letters) = (invitation.id, invitation.letters);
                verdict.lost.push(format!(
                    "invitation {id} is owed {letters} letters, and {numbers} were promised"
                ));
            }
        }
        for promise in self.promises.values() {
            if self.letters.contains_key(&promise.id) {
                verdict.delivered += usize::from(promise.letter().is_some());
            } else if self.waiting.contains(&promise.id) {
                *verdict.not_owed.entry("still in the outbox").or_default() += 1;
            } else {
                match self.excuse(promise) {
                    Ok(excuse) => *verdict.not_owed.entry(excuse).or_default() += 1,
                    Err(loss) => verdict.lost.push(loss),
                }
            }
        }
    }

    /// Why nothing was sent for a promise that is done with.
    fn excuse(&self, promise: &Promise) -> Result<&'static str, String> {
        let id = promise.id;
        let Some(settled) = self.settled.get(&id) else {
            return Err(format!(
                "{} {id} is in no outbox and was never settled",
                promise.kind
            ));
        };
        if let Some((invitation, letter)) = promise.letter() {
            let end = self.courses.get(&invitation).and_then(|course| {
                let at = settled.committed_at;
                course.end(letter, at, at + self.tolerance.skew)
            });
            return match (end, self.recipient(promise)) {
                (Some(end), _) => Ok(end.as_str()),
                (None, Some(email)) if self.was_refused(email) => Ok("refused for good"),
                (None, email) => Err(format!(
                    "letter {letter} of invitation {invitation} to {} was settled at {} and never sent",
                    email.unwrap_or("nobody"),
                    settled.committed_at
                )),
            };
        }
        let Some(event) = promise.notice() else {
            return Ok("no letter but an end of sessions");
        };
        let event = self
            .events
            .get(&event)
            .ok_or_else(|| format!("notice {id} of no event"))?;
        match self.recipient(promise) {
            Some(email) if self.was_refused(email) => Ok("refused for good"),
            _ => Err(format!(
                "the notice of {} {} was settled and never sent",
                event.kind, event.subject
            )),
        }
    }

    /// Whom a promise is to be delivered to. A member of the trials is named by the invitation they
    /// accepted.
    fn recipient(&self, promise: &Promise) -> Option<&str> {
        let invitation: Uuid = match promise.letter() {
            Some((invitation, _)) => invitation,
            None => {
                let event = self.events.get(&promise.notice()?)?;
                event.subject.strip_prefix("u-")?.parse().ok()?
            }
        };
        Some(&self.invitations.get(&invitation)?.email)
    }

    fn judge_letters(&self, verdict: &mut Verdict) {
        for stray in &self.strays {
            verdict.unexpected.push(format!(
                "a letter to {} with the Message-ID {:?} of nothing promised",
                stray.to, stray.message_id
            ));
        }
        for (id, copies) in &self.letters {
            let promise = &self.promises[id];
            for copy in copies {
                self.judge_copy(promise, copy, verdict);
            }
            for pair in copies.windows(2) {
                self.judge_pair(&pair[0], &pair[1], verdict);
            }
        }
    }

    fn judge_copy(&self, promise: &Promise, copy: &Accepted, verdict: &mut Verdict) {
        let Some((invitation, letter)) = promise.letter() else {
            return;
        };
        if self
            .invitations
            .get(&invitation)
            .is_some_and(|invitation| invitation.email != copy.to)
        {
            verdict.unexpected.push(format!(
                "letter {letter} of invitation {invitation} went to {}",
                copy.to
            ));
        }
        let Some(course) = self.courses.get(&invitation) else {
            return;
        };
        let at = copy.began_at - self.tolerance.grace;
        let late = course.end(letter, at, at - self.tolerance.skew);
        if let Some(end) = late {
            verdict.unexpected.push(format!(
                "letter {letter} of invitation {invitation} was begun by {} at {}, more than {} ms after it was {}",
                copy.by,
                copy.began_at,
                self.tolerance.grace.num_milliseconds(),
                end.as_str()
            ));
        } else if course.end(letter, copy.began_at, copy.began_at).is_some() {
            verdict.close_calls += 1;
        }
    }

    fn judge_pair(&self, first: &Accepted, second: &Accepted, verdict: &mut Verdict) {
        if first.sha256 != second.sha256 {
            verdict.different.push(format!(
                "{} to {} came by {} and then by {} with other bytes",
                first.message_id, first.to, first.by, second.by
            ));
        }
        match explanation(first, &self.incidents) {
            Some(why) => *verdict.duplicates.entry(why).or_default() += 1,
            None => verdict.unexplained.push(format!(
                "{} to {} came by {} at {} and again by {} at {}",
                first.message_id, first.to, first.by, first.at, second.by, second.at
            )),
        }
    }

    /// What the database says in the end agrees with what the mail server got.
    fn judge_state(&self, verdict: &mut Verdict) {
        for (id, why) in &self.dead {
            let promise = self.promises.get(id);
            let email = promise.and_then(|promise| self.recipient(promise));
            if !email.is_some_and(|email| self.was_refused(email)) {
                verdict.wrong.push(format!(
                    "message {id} was given up without a refusal: {why}"
                ));
            }
        }
        for promise in self.promises.values() {
            let Some((invitation, letter)) = promise.letter() else {
                continue;
            };
            let Some(invitation) = self.invitations.get(&invitation) else {
                continue;
            };
            let is_newest = invitation.letters == letter && invitation.status == "pending";
            let was_sent =
                self.letters.contains_key(&promise.id) && self.settled.contains_key(&promise.id);
            if is_newest && was_sent && invitation.delivery != "sent" {
                verdict.wrong.push(format!(
                    "invitation {} has its letter and says {}",
                    invitation.id, invitation.delivery
                ));
            }
        }
        if self.ended_sessions > 0 {
            verdict
                .wrong
                .push(format!("{} ended sessions are left", self.ended_sessions));
        }
    }

    fn promised_letters(&self) -> BTreeMap<Uuid, i64> {
        let mut promised = BTreeMap::new();
        for (invitation, _) in self.promises.values().filter_map(Promise::letter) {
            *promised.entry(invitation).or_default() += 1;
        }
        promised
    }
}

impl Verdict {
    /// Whether every promise was kept, as far as it could be by now.
    pub(crate) fn is_kept(&self) -> bool {
        let broken = [
            &self.lost,
            &self.unexpected,
            &self.different,
            &self.unexplained,
            &self.wrong,
        ];
        broken.into_iter().all(Vec::is_empty)
    }
}

/// The counts that can be added up over trials, as `NAME=NUMBER`.
pub(crate) struct Counts<'a>(&'a Verdict);

impl Verdict {
    pub(crate) fn counts(&self) -> Counts<'_> {
        Counts(self)
    }
}

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(verdict) = self;
        write!(
            f,
            "faults={} invitations={} letters={} delivered={} duplicates={}",
            verdict.faults.values().sum::<usize>(),
            verdict.invitations,
            verdict.promised,
            verdict.delivered,
            verdict.duplicates.values().sum::<usize>(),
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "faults")?;
        for (fault, count) in &self.faults {
            writeln!(f, "{count:>8}  {fault}")?;
        }
        writeln!(f, "promised")?;
        writeln!(
            f,
            "{:>8}  invitations, {} changes confirmed to hosts",
            self.invitations, self.committed
        )?;
        writeln!(
            f,
            "{:>8}  letters of invitations, {} of them delivered; {} notices",
            self.promised, self.delivered, self.notices
        )?;
        for (why, count) in &self.not_owed {
            writeln!(f, "{count:>8}  not sent: {why}")?;
        }
        writeln!(
            f,
            "{:>8}  recovered: delivered under a later lease than the first",
            self.recovered
        )?;
        writeln!(
            f,
            "{:>8}  close calls: begun within the grace after their end",
            self.close_calls
        )?;
        let identical: usize = self.duplicates.values().sum();
        writeln!(f, "duplicated")?;
        writeln!(f, "{identical:>8}  explained")?;
        for (why, count) in &self.duplicates {
            writeln!(f, "{count:>8}    {why}")?;
        }
        writeln!(f, "must be none")?;
        for (what, cases) in [
            ("lost", &self.lost),
            ("unexpected", &self.unexpected),
            ("duplicated with other bytes", &self.different),
            ("duplicated without an explanation", &self.unexplained),
            ("wrong in the database", &self.wrong),
        ] {
            writeln!(f, "{:>8}  {what}", cases.len())?;
            for case in cases.iter().take(EXAMPLES) {
                writeln!(f, "            {case}")?;
            }
        }
        write!(f, "{:>8}  still in the outbox", self.waiting)
    }
}

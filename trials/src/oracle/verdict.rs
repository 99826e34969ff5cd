//! Judges each message, each letter and each confirmed operation.

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;
use uuid::Uuid;

use super::duplicate::explanation;
use super::observations::{Message, Observations};
use crate::fault::{Fault, Incident};
use crate::host::Operation;
use crate::sink::Accepted;

/// Largest number of examples shown of each kind of failure.
const EXAMPLES: usize = 10;

/// Time after the end of an outage of Postgres within which a starting worker may still exit: its pool
/// waits 30 s for the first connection.
const WORKER_START_TIMEOUT: TimeDelta = TimeDelta::seconds(33);

/// The counts of a trial, and a line for each failure.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    invitations: usize,
    committed: usize,
    letters: usize,
    delivered: usize,
    notices: usize,
    not_sent: BTreeMap<&'static str, usize>,
    recovered: usize,
    waiting: usize,
    /// Attempts refused for policy, and attempts throttled.
    refused: (i64, i64),
    close_calls: usize,
    duplicates: BTreeMap<&'static str, usize>,
    faults: BTreeMap<Fault, usize>,
    lost: Vec<String>,
    unexpected: Vec<String>,
    different: Vec<String>,
    unexplained: Vec<String>,
    wrong: Vec<String>,
}

impl Observations {
    /// Judges every message, every letter and every operation.
    pub(crate) fn judge(&self) -> Verdict {
        let mut verdict = Verdict {
            invitations: self.invitations.len(),
            letters: self
                .messages
                .values()
                .filter(|message| message.letter().is_some())
                .count(),
            notices: self
                .messages
                .values()
                .filter(|message| message.notice().is_some())
                .count(),
            recovered: self.recovered(),
            waiting: self.waiting.len(),
            refused: self.refused_attempts(),
            ..Verdict::default()
        };
        for incident in &self.incidents {
            *verdict.faults.entry(incident.fault).or_default() += 1;
        }
        self.judge_exits(&mut verdict);
        self.judge_operations(&mut verdict);
        self.judge_messages(&mut verdict);
        self.judge_letters(&mut verdict);
        self.judge_state(&mut verdict);
        verdict.wrong.extend(self.wrongly_shown());
        verdict
    }

    /// Counts the messages delivered under a second or later lease.
    fn recovered(&self) -> usize {
        let retried = self
            .settled
            .iter()
            .filter(|(_, settled)| settled.generation > 1);
        retried
            .filter(|(id, _)| self.letters.contains_key(id))
            .count()
    }

    /// Requires that a worker exits by itself only if Postgres is down while it starts.
    fn judge_exits(&self, verdict: &mut Verdict) {
        let of = |fault| self.incidents.iter().filter(move |one| one.fault == fault);
        for exit in of(Fault::WorkerExit) {
            let name = exit.process.as_deref().unwrap_or("a worker");
            let is_down = |outage: &Incident| {
                let until = outage.until.map(|until| until + WORKER_START_TIMEOUT);
                outage.from <= exit.from && until.is_none_or(|until| exit.from <= until)
            };
            if self.exited_at_work.contains(name) || !of(Fault::PostgresStop).any(is_down) {
                verdict
                    .wrong
                    .push(format!("{name} exited by itself at {}", exit.from));
            }
        }
    }

    /// Requires that each operation whose commit a host saw is in the database. Others may be too.
    fn judge_operations(&self, verdict: &mut Verdict) {
        for operation in &self.operations {
            let (ids, kind) = match operation {
                Operation::Invited(ids) => (ids.clone(), "invitation_created"),
                Operation::Resent(id) => (vec![*id], "invitation_resent"),
                Operation::Revoked(id) => (vec![*id], "invitation_revoked"),
                Operation::Accepted(id) => (vec![*id], "invitation_accepted"),
            };
            for id in ids {
                verdict.committed += 1;
                let history = self.histories.get(&id.as_uuid());
                if !history.is_some_and(|history| history.has(kind)) {
                    verdict.lost.push(format!(
                        "{kind} of {id} was committed and is not in the database"
                    ));
                }
            }
        }
    }

    fn judge_messages(&self, verdict: &mut Verdict) {
        let queued = self.queued_letters();
        for invitation in self.invitations.values() {
            let count = queued.get(&invitation.id).copied().unwrap_or_default();
            if count != invitation.letters {
                let (id, letters) = (invitation.id, invitation.letters);
                verdict.lost.push(format!(
                    "invitation {id} has {letters} letters, but {count} were in the outbox"
                ));
            }
        }
        for message in self.messages.values() {
            if self.letters.contains_key(&message.id) {
                verdict.delivered += usize::from(message.letter().is_some());
            } else if self.waiting.contains(&message.id) {
                *verdict.not_sent.entry("still in the outbox").or_default() += 1;
            } else {
                match self.reason_not_sent(message) {
                    Ok(reason) => *verdict.not_sent.entry(reason).or_default() += 1,
                    Err(loss) => verdict.lost.push(loss),
                }
            }
        }
    }

    /// Returns why no letter was sent for a message that left the outbox, or an error if it should have
    /// been sent.
    fn reason_not_sent(&self, message: &Message) -> Result<&'static str, String> {
        let id = message.id;
        let Some(settled) = self.settled.get(&id) else {
            return Err(format!(
                "{} {id} is not in the outbox and was never settled",
                message.kind
            ));
        };
        if let Some((invitation, letter)) = message.letter() {
            let obsolete = self.histories.get(&invitation).and_then(|history| {
                let at = settled.committed_at;
                history.obsolete(letter, at, at + self.tolerance.skew)
            });
            return match (obsolete, self.recipient(message)) {
                (Some(obsolete), _) => Ok(obsolete.as_str()),
                (None, Some(email)) if self.is_missing(email) => Ok("its mailbox is missing"),
                (None, email) => Err(format!(
                    "letter {letter} of invitation {invitation} to {} was settled at {} and never sent",
                    email.unwrap_or("an unknown recipient"),
                    settled.committed_at
                )),
            };
        }
        let Some(event) = message.notice() else {
            return Ok("the message ends sessions and sends no letter");
        };
        let event = self
            .events
            .get(&event)
            .ok_or_else(|| format!("the event of notice {id} is not in the database"))?;
        match self.recipient(message) {
            Some(email) if self.is_missing(email) => Ok("its mailbox is missing"),
            _ => Err(format!(
                "the notice of {} {} was settled and never sent",
                event.kind, event.subject
            )),
        }
    }

    /// Returns the recipient of a message. In trials a member's user id contains the id of the invitation
    /// that they accepted.
    fn recipient(&self, message: &Message) -> Option<&str> {
        let invitation: Uuid = match message.letter() {
            Some((invitation, _)) => invitation,
            None => {
                let event = self.events.get(&message.notice()?)?;
                event.subject.strip_prefix("u-")?.parse().ok()?
            }
        };
        Some(&self.invitations.get(&invitation)?.email)
    }

    fn judge_letters(&self, verdict: &mut Verdict) {
        for stray in &self.strays {
            verdict.unexpected.push(format!(
                "a letter to {} has the Message-ID {:?}, which belongs to no message",
                stray.to, stray.message_id
            ));
        }
        for (id, copies) in &self.letters {
            let message = &self.messages[id];
            for copy in copies {
                self.judge_copy(message, copy, verdict);
            }
            for pair in copies.windows(2) {
                self.judge_pair(&pair[0], &pair[1], verdict);
            }
        }
    }

    fn judge_copy(&self, message: &Message, copy: &Accepted, verdict: &mut Verdict) {
        let Some((invitation, letter)) = message.letter() else {
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
        let Some(history) = self.histories.get(&invitation) else {
            return;
        };
        let at = copy.began_at - self.tolerance.grace;
        let obsolete = history.obsolete(letter, at, at - self.tolerance.skew);
        if let Some(obsolete) = obsolete {
            verdict.unexpected.push(format!(
                "letter {letter} of invitation {invitation} was begun by {} at {}, more than {} ms too late: {}",
                copy.by,
                copy.began_at,
                self.tolerance.grace.num_milliseconds(),
                obsolete.as_str()
            ));
        } else if history
            .obsolete(letter, copy.began_at, copy.began_at)
            .is_some()
        {
            verdict.close_calls += 1;
        }
    }

    fn judge_pair(&self, first: &Accepted, second: &Accepted, verdict: &mut Verdict) {
        if first.sha256 != second.sha256 {
            verdict.different.push(format!(
                "{} to {} was sent by {} and then by {} with different bytes",
                first.message_id, first.to, first.by, second.by
            ));
        }
        match explanation(first, &self.incidents) {
            Some(why) => *verdict.duplicates.entry(why).or_default() += 1,
            None => verdict.unexplained.push(format!(
                "{} to {} was sent by {} at {} and again by {} at {}",
                first.message_id, first.to, first.by, first.at, second.by, second.at
            )),
        }
    }

    /// Requires that the final state of the database agrees with the mail server's log.
    fn judge_state(&self, verdict: &mut Verdict) {
        for (id, why) in &self.dead {
            verdict
                .wrong
                .push(format!("message {id} was given up: {why}"));
        }
        for message in self.messages.values() {
            let Some((invitation, letter)) = message.letter() else {
                continue;
            };
            let Some(invitation) = self.invitations.get(&invitation) else {
                continue;
            };
            let is_newest = invitation.letters == letter && invitation.status == "pending";
            let was_sent =
                self.letters.contains_key(&message.id) && self.settled.contains_key(&message.id);
            if is_newest && was_sent && invitation.delivery != "sent" {
                verdict.wrong.push(format!(
                    "invitation {} has its letter, but its delivery state is {}",
                    invitation.id, invitation.delivery
                ));
            }
        }
        if self.ended_sessions > 0 {
            verdict.wrong.push(format!(
                "{} ended sessions were not purged",
                self.ended_sessions
            ));
        }
    }

    fn queued_letters(&self) -> BTreeMap<Uuid, i64> {
        let mut queued = BTreeMap::new();
        for (invitation, _) in self.messages.values().filter_map(Message::letter) {
            *queued.entry(invitation).or_default() += 1;
        }
        queued
    }
}

impl Verdict {
    /// Returns true if no promise was broken. Messages that still wait in the outbox do not count.
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

/// Counts that can be added up over several trials, as `NAME=NUMBER`.
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
            verdict.letters,
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
        writeln!(f, "queued")?;
        writeln!(
            f,
            "{:>8}  invitations; hosts saw {} changes committed",
            self.invitations, self.committed
        )?;
        writeln!(
            f,
            "{:>8}  invitation letters, {} of them delivered; {} notices",
            self.letters, self.delivered, self.notices
        )?;
        for (why, count) in &self.not_sent {
            writeln!(f, "{count:>8}  not sent: {why}")?;
        }
        writeln!(
            f,
            "{:>8}  recovered: delivered under a second or later lease",
            self.recovered
        )?;
        let (policy, throttled) = self.refused;
        writeln!(f, "{policy:>8}  attempts refused for policy")?;
        writeln!(f, "{throttled:>8}  attempts throttled")?;
        writeln!(
            f,
            "{:>8}  close calls: begun within the grace period after becoming obsolete",
            self.close_calls
        )?;
        let identical: usize = self.duplicates.values().sum();
        writeln!(f, "duplicated")?;
        writeln!(f, "{identical:>8}  explained")?;
        for (why, count) in &self.duplicates {
            writeln!(f, "{count:>8}    {why}")?;
        }
        writeln!(f, "must be zero")?;
        for (what, cases) in [
            ("lost", &self.lost),
            ("unexpected", &self.unexpected),
            ("duplicated with different bytes", &self.different),
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

//! Explains by a fault why a letter arrived twice.

use chrono::{DateTime, TimeDelta, Utc};

use crate::fault::{Fault, Incident};
use crate::sink::{Accepted, Fate};

/// Largest time from the final dot to the worker's commit, on a busy machine.
const COMMIT_DELAY: TimeDelta = TimeDelta::seconds(3);

/// Largest time by which the final dot may be logged after a kill that came later.
const LOG_DELAY: TimeDelta = TimeDelta::milliseconds(100);

/// Returns what kept the worker from committing after the final dot of `first`, the earlier of two copies.
pub(super) fn explanation(first: &Accepted, incidents: &[Incident]) -> Option<&'static str> {
    if first.fate == Fate::Withheld {
        return Some("the connection was dropped before the reply");
    }
    let (from, mut until) = (first.at - LOG_DELAY, first.at + COMMIT_DELAY);
    if first.fate == Fate::AnsweredLate {
        until += COMMIT_DELAY;
    }
    // While Postgres is down or a stopped host holds a row lock, a running worker keeps its outcome in
    // memory and may be killed before it commits.
    let blockers = incidents
        .iter()
        .filter(|one| matches!(one.fault, Fault::PostgresStop | Fault::HostStop));
    for blocker in blockers {
        if overlaps(blocker, from, until) {
            until = until.max(blocker.until.unwrap_or(until) + COMMIT_DELAY);
        }
    }
    let hit = |fault| {
        let mut hits = of(incidents, fault);
        hits.any(|one| {
            one.process.as_deref() == Some(&first.by) && from <= one.from && one.from <= until
        })
    };
    if hit(Fault::WorkerKill) {
        return Some("its worker was killed");
    }
    if hit(Fault::WorkerStop) {
        return Some("its worker was stopped for longer than its leases");
    }
    let mut outages = of(incidents, Fault::SmtpOutage);
    outages
        .any(|outage| from <= outage.from && outage.from <= until)
        .then_some("the mail server went down")
}

fn of(incidents: &[Incident], fault: Fault) -> impl Iterator<Item = &Incident> {
    incidents
        .iter()
        .filter(move |incident| incident.fault == fault)
}

fn overlaps(incident: &Incident, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
    incident.from <= until && incident.until.is_none_or(|end| end >= from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    /// A letter that `w1-1` sent, accepted at second 100.
    fn first(fate: Fate) -> Accepted {
        Accepted {
            to: "bob@invitee.example".to_owned(),
            message_id: "1@acme.example".to_owned(),
            sha256: String::new(),
            bytes: 1,
            by: "w1-1".to_owned(),
            began_at: at(99),
            at: at(100),
            fate,
        }
    }

    fn incident(fault: Fault, process: Option<&str>, from: i64, until: i64) -> Incident {
        Incident {
            fault,
            process: process.map(str::to_owned),
            from: at(from),
            until: Some(at(until)),
        }
    }

    fn explain(incidents: &[Incident]) -> Option<&'static str> {
        explanation(&first(Fate::Answered), incidents)
    }

    #[test]
    fn only_a_fault_before_the_commit_explains_a_copy() {
        let kill = |process, second| incident(Fault::WorkerKill, Some(process), second, second);
        assert_eq!(explain(&[]), None);
        assert_eq!(explain(&[kill("w1-1", 102)]), Some("its worker was killed"));
        assert_eq!(explain(&[kill("w1-1", 98)]), None, "it was killed before");
        assert_eq!(explain(&[kill("w1-1", 110)]), None, "it had time to commit");
        assert_eq!(
            explain(&[kill("w2-1", 102)]),
            None,
            "another worker was killed"
        );
        let stop = incident(Fault::WorkerStop, Some("w1-1"), 100, 125);
        assert!(explain(&[stop]).is_some());
        assert!(explain(&[incident(Fault::SmtpOutage, None, 101, 104)]).is_some());
        for fault in [
            Fault::RedisFlush,
            Fault::RedisRestart,
            Fault::PostgresStop,
            Fault::HostKill,
            Fault::HostStop,
            Fault::WorkerExit,
        ] {
            assert_eq!(explain(&[incident(fault, Some("w1-1"), 101, 102)]), None);
        }
    }

    #[test]
    fn a_blocked_commit_may_be_killed_later() {
        let kill = incident(Fault::WorkerKill, Some("w1-1"), 108, 108);
        for fault in [Fault::PostgresStop, Fault::HostStop] {
            let blocker = incident(fault, None, 101, 107);
            assert!(explain(&[blocker, kill.clone()]).is_some(), "{fault}");
            let over = incident(fault, None, 90, 99);
            assert_eq!(explain(&[over, kill.clone()]), None, "{fault}");
        }
    }

    #[test]
    fn a_withheld_reply_explains_a_copy_by_itself() {
        assert!(explanation(&first(Fate::Withheld), &[]).is_some());
        assert_eq!(explanation(&first(Fate::AnsweredLate), &[]), None);
    }
}

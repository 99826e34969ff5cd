//! Whether a fault explains that a letter came twice.

use chrono::{DateTime, TimeDelta, Utc};

use crate::chaos::fault::{Fault, Incident};
use crate::sink::{Accepted, Fate};

/// How long after the final dot the commit may take, on a machine that is busy.
const SETTLING: TimeDelta = TimeDelta::seconds(3);

/// How long before the dot was logged a kill may have been noted.
const SKEW: TimeDelta = TimeDelta::milliseconds(100);

/// What kept the commit from following the final dot of `first`, of which another copy came later.
pub(super) fn explanation(first: &Accepted, incidents: &[Incident]) -> Option<&'static str> {
    if first.fate == Fate::Withheld {
        return Some("the connection was dropped before the reply");
    }
    let (from, mut until) = (first.at - SKEW, first.at + SETTLING);
    if first.fate == Fate::AnsweredLate {
        until += SETTLING;
    }
    // While Postgres is down, or a host that was stopped holds a row, a worker that lives keeps its
    // outcome, and may be killed with it.
    let holdups = incidents
        .iter()
        .filter(|one| matches!(one.fault, Fault::PostgresStop | Fault::HostStop));
    for outage in holdups {
        if overlaps(outage, from, until) {
            until = until.max(outage.until.unwrap_or(until) + SETTLING);
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
        return Some("its worker was stopped beyond its leases");
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

    /// Taken from `w1-1` at second 100.
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

    fn why(incidents: &[Incident]) -> Option<&'static str> {
        explanation(&first(Fate::Answered), incidents)
    }

    #[test]
    fn only_what_kept_the_commit_from_following_explains_a_copy() {
        let kill = |process, second| incident(Fault::WorkerKill, Some(process), second, second);
        assert_eq!(why(&[]), None);
        assert_eq!(why(&[kill("w1-1", 102)]), Some("its worker was killed"));
        assert_eq!(why(&[kill("w1-1", 98)]), None, "it was killed before");
        assert_eq!(why(&[kill("w1-1", 110)]), None, "it had time to commit");
        assert_eq!(why(&[kill("w2-1", 102)]), None, "another was killed");
        let stop = incident(Fault::WorkerStop, Some("w1-1"), 100, 125);
        assert!(why(&[stop]).is_some());
        assert!(why(&[incident(Fault::SmtpOutage, None, 101, 104)]).is_some());
        for fault in [
            Fault::RedisFlush,
            Fault::RedisRestart,
            Fault::PostgresStop,
            Fault::HostKill,
            Fault::HostStop,
            Fault::WorkerExit,
        ] {
            assert_eq!(why(&[incident(fault, Some("w1-1"), 101, 102)]), None);
        }
    }

    #[test]
    fn what_held_the_commit_up_gives_a_kill_more_time() {
        let kill = incident(Fault::WorkerKill, Some("w1-1"), 108, 108);
        for fault in [Fault::PostgresStop, Fault::HostStop] {
            let holdup = incident(fault, None, 101, 107);
            assert!(why(&[holdup, kill.clone()]).is_some(), "{fault}");
            let over = incident(fault, None, 90, 99);
            assert_eq!(why(&[over, kill.clone()]), None, "{fault}");
        }
    }

    #[test]
    fn a_reply_that_was_withheld_explains_a_copy_by_itself() {
        assert!(explanation(&first(Fate::Withheld), &[]).is_some());
        assert_eq!(explanation(&first(Fate::AnsweredLate), &[]), None);
    }
}

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
    // While Postgres is down a worker that lives keeps its outcome, and may be killed with it.
    for outage in of(incidents, Fault::PostgresStop) {
        if overlaps(outage, from, until) {
            until = until.max(outage.until.unwrap_or(until) + SETTLING);
        }
    }
    let hit = |fault| {
        let mut hits = of(incidents, fault);
        hits.any(|one| {
            one.worker.as_deref() == Some(&first.by) && from <= one.from && one.from <= until
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

//! The readiness of a worker.

use std::time::Duration;

use guestlist::worker::{self, TriedLetters};
use serde::Serialize;
use serde::ser::SerializeStruct;
use tokio::time::timeout;

use super::{CHECK_TIMEOUT, Instruments};
use crate::skew;

/// The time without a round after which the relay counts as hanging. Rounds are at most a second
/// apart; one that waits for Redis or for a database connection takes longer.
const ROUND_TIMEOUT: Duration = Duration::from_secs(15);

/// The time without an accepted letter after which the check of the mailer fails: a restart of the mail
/// server takes less.
const STOPPED_TIMEOUT: Duration = Duration::from_secs(30);

/// The result of checking a worker. As JSON: `{"ready": false, "checks": [{"check": "queue",
/// "status": "failed", "detail": "…"}, …]}`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Readiness {
    /// The checks. `clock` is missing while the database does not answer.
    pub checks: Vec<Check>,
    /// The lead of the worker's clock over the database's, in seconds.
    pub(super) skew: Option<f64>,
}

/// The check of one part that a worker needs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// `worker`, `relay`, `database`, `clock`, `queue` or `mailer`.
    pub name: &'static str,
    /// The problem, safe for a log; `None` if there is none.
    pub problem: Option<String>,
    /// A remark for an operator although the check passes, safe for a log.
    pub remark: Option<String>,
}

impl Readiness {
    /// Returns whether every check passed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }

    /// Checks all parts, concurrently where a check takes time.
    pub(super) async fn look(instruments: &Instruments) -> Self {
        let (skew, queue, tried) = tokio::join!(
            database(instruments),
            queue(instruments),
            instruments.tried_letters()
        );
        let mut checks = vec![
            Check::of("worker", queue_worker(instruments)),
            Check::of("relay", relay(instruments)),
            Check::of("database", skew.as_ref().err().cloned()),
            Check::of("queue", queue.err()),
            mailer(instruments, tried.as_ref()),
        ];
        let skew = skew.ok();
        if let Some(skew) = skew {
            checks.insert(3, Check::of("clock", clock(skew)));
        }
        Self {
            checks,
            skew: skew.map(|skew| skew.as_seconds_f64()),
        }
    }
}

impl Check {
    fn of(name: &'static str, problem: Option<String>) -> Self {
        Self {
            name,
            problem,
            remark: None,
        }
    }
}

fn queue_worker(instruments: &Instruments) -> Option<String> {
    let is_polling = instruments.queue.is_polling();
    (!is_polling).then(|| "no queue worker of this process is polling for jobs".to_owned())
}

fn relay(instruments: &Instruments) -> Option<String> {
    match instruments.rounds.silence() {
        None => Some("the relay is not running".to_owned()),
        Some(silence) if silence > ROUND_TIMEOUT => Some(format!(
            "the relay has not looked for due messages for {} s",
            silence.as_secs()
        )),
        Some(_) => None,
    }
}

/// Asks the database for its time, which also shows whether it answers, and whether it accepts writes.
async fn database(instruments: &Instruments) -> Result<chrono::TimeDelta, String> {
    let look = async {
        let skew = skew::clock_skew(&instruments.guestlist, &instruments.database).await?;
        Ok((skew, worker::read_only(&instruments.database).await?))
    };
    let answer: Result<Result<_, guestlist::Error>, _> = timeout(CHECK_TIMEOUT, look).await;
    match answer {
        Ok(Ok((skew, None))) => Ok(skew),
        Ok(Ok((_, Some(reason)))) => Err(format!(
            "{reason}; no letter leaves until it accepts writes"
        )),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(no_answer("the database")),
    }
}

fn clock(skew: chrono::TimeDelta) -> Option<String> {
    skew::is_too_much(skew).then(|| {
        format!(
            "this machine's clock is {} s {} the database's; the worker does nothing until the clock is correct",
            skew.num_seconds().abs(),
            if skew > chrono::TimeDelta::zero() {
                "ahead of"
            } else {
                "behind"
            }
        )
    })
}

async fn queue(instruments: &Instruments) -> Result<(), String> {
    match timeout(CHECK_TIMEOUT, instruments.queue.answers()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(no_answer("the queue")),
    }
}

fn mailer(instruments: &Instruments, tried: Option<&TriedLetters>) -> Check {
    let mailer = &instruments.mailer;
    let refused = mailer
        .paused()
        .map(|why| format!("no letter is sent until this is fixed: {why}"));
    let stopped = mailer.stopped_for().filter(|it| *it >= STOPPED_TIMEOUT);
    let stopped = stopped.map(|stopped| {
        format!(
            "no letter was accepted for {} s: {}",
            stopped.as_secs(),
            mailer.unavailable().why
        )
    });
    let throttled = mailer.throttled_pace().map(|pace| {
        format!("the mail server asks to send more slowly; letters are sent at {pace:.1} a second")
    });
    let deferred = tried.and_then(TriedLetters::mass_deferral);
    let remarks: Vec<String> = throttled.into_iter().chain(deferred).collect();
    Check {
        remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
        ..Check::of("mailer", refused.or(stopped))
    }
}

fn no_answer(name: &str) -> String {
    format!("{name} did not answer within {} s", CHECK_TIMEOUT.as_secs())
}

impl Serialize for Readiness {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Readiness", 2)?;
        object.serialize_field("ready", &self.is_ready())?;
        object.serialize_field("checks", &self.checks)?;
        object.end()
    }
}

impl Serialize for Check {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_well = self.problem.is_none();
        let mut object = serializer.serialize_struct("Check", 3)?;
        object.serialize_field("check", self.name)?;
        object.serialize_field("status", if is_well { "ok" } else { "failed" })?;
        let detail = self.problem.as_ref().or(self.remark.as_ref());
        object.serialize_field("detail", &detail)?;
        object.end()
    }
}

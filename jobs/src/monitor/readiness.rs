//! Whether a worker can do its work now.

use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeStruct;
use tokio::time::timeout;

use super::{Instruments, PATIENCE};
use crate::skew;

/// A relay that began no round for so long hangs. Rounds are a second apart at most; one that
/// waits for Redis or for a connection to the database takes longer.
const SILENCE: Duration = Duration::from_secs(15);

/// What a look at a worker showed. As JSON: `{"ready": false, "checks": [{"check": "queue",
/// "status": "failed", "detail": "…"}, …]}`.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Each thing that was looked at. `clock` is missing while the database does not answer.
    pub checks: Vec<Check>,
    /// How far the clock is ahead of the database's, in seconds.
    pub(super) skew: Option<f64>,
}

/// One thing that a worker needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `worker`, `relay`, `database`, `clock`, `queue` or `mailer`.
    pub name: &'static str,
    /// What is wrong, fit for a log; `None` where all is well.
    pub problem: Option<String>,
}

impl Readiness {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }

    /// Looks at everything, at the same time where it takes time.
    pub(super) async fn look(instruments: &Instruments) -> Self {
        let (skew, queue) = tokio::join!(database(instruments), queue(instruments));
        let mut checks = vec![
            Check::of("worker", worker(instruments)),
            Check::of("relay", relay(instruments)),
            Check::of("database", skew.as_ref().err().cloned()),
            Check::of("queue", queue.err()),
            Check::of("mailer", mailer(instruments)),
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
        Self { name, problem }
    }
}

fn worker(instruments: &Instruments) -> Option<String> {
    let is_polling = instruments.queue.is_polling();
    (!is_polling).then(|| "no worker of this process asks the queue for work".to_owned())
}

fn relay(instruments: &Instruments) -> Option<String> {
    match instruments.rounds.silence() {
        None => Some("the relay does not run".to_owned()),
        Some(silence) if silence > SILENCE => Some(format!(
            "the relay has not looked for due messages for {} s",
            silence.as_secs()
        )),
        Some(_) => None,
    }
}

/// Asks the database the time, and so whether it answers.
async fn database(instruments: &Instruments) -> Result<chrono::TimeDelta, String> {
    let look = skew::clock_skew(&instruments.guestlist, &instruments.database);
    match timeout(PATIENCE, look).await {
        Ok(Ok(skew)) => Ok(skew),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(no_answer("the database")),
    }
}

fn clock(skew: chrono::TimeDelta) -> Option<String> {
    skew::is_too_much(skew).then(|| {
        format!(
            "this machine's clock is {} s {} the database's: the worker stands down",
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
    match timeout(PATIENCE, instruments.queue.answers()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(no_answer("the queue")),
    }
}

fn mailer(instruments: &Instruments) -> Option<String> {
    let why = instruments.mailer.paused()?;
    Some(format!("no letter leaves until this is mended: {why}"))
}

fn no_answer(who: &str) -> String {
    format!("{who} did not answer within {} s", PATIENCE.as_secs())
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
        object.serialize_field("detail", &self.problem)?;
        object.end()
    }
}

//! A case: one fault at one step.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::bail;
use guestlist::Database;
use guestlist_testkit::process::{Process, Signal};
use tokio::time::{Instant, sleep};

use super::environment::Environment;

/// The fail points of the worker, each with a description.
const STEPS: [(&str, &str); 9] = [
    ("relay::leased", "after the lease"),
    ("relay::pushed", "after the push to Redis"),
    ("lease::taken", "after the job was taken"),
    ("letter::facts", "after the invitation was read"),
    ("letter::begun", "before the letter is sent"),
    ("letter::final_dot", "before the final dot"),
    ("letter::taken", "after the server's 250"),
    ("settle::commit", "before the settle's commit"),
    ("settle::committed", "after the commit"),
];

/// The fault at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The process ends at once, as by SIGKILL.
    Kill,
    /// The step returns an error, as if the database's answer was lost and the connection broken.
    Error,
    /// The process is stopped for longer than its leases and then resumed.
    Stop,
    /// The step panics; the worker continues.
    Panic,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Kill, Self::Error, Self::Stop, Self::Panic];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Error => "error",
            Self::Stop => "stop",
            Self::Panic => "panic",
        }
    }
}

/// A fault at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    index: usize,
    pub(super) step: &'static str,
    pub(super) description: &'static str,
    pub(super) fault: Fault,
}

/// The final state of a case's database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// Number of invitations recorded as sent.
    pub(super) recorded: i64,
}

/// Time for which a worker is stopped: longer than its leases of 20 s.
const STOP_TIME: Duration = Duration::from_secs(23);

/// Time for which a resumed worker runs before it is told to end.
const RESUMED_TIME: Duration = Duration::from_secs(1);

/// Time-out of every other wait, for a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Pause between two checks of a condition.
const TICK: Duration = Duration::from_millis(100);

impl Case {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let steps = STEPS.into_iter().enumerate();
        steps.flat_map(|(index, (step, description))| {
            Fault::ALL.map(|fault| Self {
                index,
                step,
                description,
                fault,
            })
        })
    }

    /// Expected number of letters sent twice: those that were sent and whose commit did not happen. A
    /// second letter may be sent while one is being recorded, because there are two jobs per connection.
    pub(super) fn twice(self) -> RangeInclusive<usize> {
        match (self.step, self.fault) {
            ("letter::taken", _) => 1..=1,
            // Postgres rolls back the transaction of a stopped worker.
            ("settle::commit", Fault::Kill | Fault::Stop) => 1..=2,
            ("settle::committed", Fault::Kill | Fault::Stop) => 0..=1,
            // After an error or a panic the worker keeps the outcome and records it later.
            _ => 0..=0,
        }
    }

    /// Returns true if the failing worker has to finish the work alone.
    fn runs_alone(self) -> bool {
        matches!(self.fault, Fault::Error | Fault::Panic)
    }

    /// Name of its database, its worker and its invitees.
    pub(super) fn name(self) -> String {
        format!("s{}-{}", self.index + 1, self.fault.as_str())
    }

    /// Makes a worker fail at the step, starts a healthy one unless the failing one continues, and waits
    /// until the outbox is empty.
    pub(super) async fn run(self, environment: &Environment) -> anyhow::Result<Outcome> {
        let name = self.name();
        let (database, url) = environment.create_database(&name).await?;
        let Database::Postgres(pool) = &database else {
            bail!("trials run on Postgres");
        };
        environment.invite(&database, &name).await?;
        let failpoint = format!("{}=1*return({})", self.step, self.fault.as_str());
        let mut failing = environment.start_worker(&name, &url, Some(&failpoint))?;
        let reached = format!("reached the fail point {}:", self.step);
        let log = environment.worker_log(&name);
        wait_until("the step was not reached", || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            std::future::ready(Ok(log.contains(&reached)))
        })
        .await?;
        if self.fault == Fault::Kill {
            wait_for_exit(&mut failing).await?;
        }
        let mut workers = vec![failing];
        if !self.runs_alone() {
            let name = format!("{name}-healthy");
            workers.push(environment.start_worker(&name, &url, None)?);
        }
        if self.fault == Fault::Stop {
            sleep(STOP_TIME).await;
            workers[0].signal(Signal::Continue)?;
            sleep(RESUMED_TIME).await;
        }
        wait_until("the outbox did not drain", || async {
            let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM guestlist_outbox")
                .fetch_one(pool)
                .await?;
            Ok(waiting == 0)
        })
        .await?;
        // On SIGTERM workers finish the jobs that they have begun.
        for process in &mut workers {
            if !process.has_ended() {
                process.signal(Signal::Terminate)?;
                wait_for_exit(process).await?;
            }
        }
        let recorded = sqlx::query_scalar(
            "SELECT count(*) FROM guestlist_invitations WHERE delivery = 'sent'",
        );
        Ok(Outcome {
            recorded: recorded.fetch_one(pool).await?,
        })
    }
}

async fn wait_for_exit(process: &mut Process) -> anyhow::Result<()> {
    wait_until("a worker did not end", || {
        std::future::ready(Ok(process.has_ended()))
    })
    .await
}

/// Waits until a condition holds. `failure` is the message after the time-out.
async fn wait_until<F>(failure: &str, mut holds: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !holds().await? {
        if Instant::now() > deadline {
            bail!("{failure} within {} s", WAIT_TIMEOUT.as_secs());
        }
        sleep(TICK).await;
    }
    Ok(())
}

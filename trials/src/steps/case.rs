//! One fault at one step.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use guestlist::{Database, Guestlist, Invite, Key, Limits, User};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::host::OWNER;
use crate::postgres::Postgres;
use crate::process::Process;
use crate::redis_server::RedisServer;
use crate::sink::Sink;
use crate::worker::{self, Servers};

/// The steps, as the worker names them, and in words.
const STEPS: [(&str, &str); 9] = [
    ("relay::leased", "after the lease"),
    ("relay::pushed", "after the push"),
    ("lease::taken", "after the take"),
    ("letter::facts", "after the facts were read"),
    ("letter::begun", "before the letter is sent"),
    ("letter::final_dot", "before the final dot"),
    ("letter::taken", "after the server took it"),
    ("settle::commit", "before the settle's commit"),
    ("settle::committed", "after the commit"),
];

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The process ends as by SIGKILL.
    Kill,
    /// The step fails: the database's answer is lost, the connection broken.
    Error,
    /// The process is stopped for longer than its leases, then goes on.
    Stop,
    /// The step panics, and what it is a part of goes on.
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
    place: usize,
    pub(super) step: &'static str,
    pub(super) words: &'static str,
    pub(super) fault: Fault,
}

/// What the database says when all is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// How many invitations are recorded as sent.
    pub(super) recorded: i64,
}

/// How long a worker stays stopped: its leases live for 20 s.
const STOPPED: Duration = Duration::from_secs(23);

/// How long a worker that was stopped may do harm before it is told to end.
const AWAKE: Duration = Duration::from_secs(1);

/// How long anything else may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(100);

impl Case {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let steps = STEPS.into_iter().enumerate();
        steps.flat_map(|(place, (step, words))| {
            Fault::ALL.map(|fault| Self {
                place,
                step,
                words,
                fault,
            })
        })
    }

    /// How many letters come twice: those whose sending was over and whose commit was not. While one is
    /// being recorded another may have left, since there are two places for each connection.
    pub(super) fn twice(self) -> RangeInclusive<usize> {
        match (self.step, self.fault) {
            ("letter::taken", _) => 1..=1,
            // Postgres rolls back what rests within a transaction.
            ("settle::commit", Fault::Kill | Fault::Stop) => 1..=2,
            ("settle::committed", Fault::Kill | Fault::Stop) => 0..=1,
            // After an error or a panic there what is in hand stays there, and is recorded.
            _ => 0..=0,
        }
    }

    /// Whether the worker that fails is the only one: it goes on by itself, or that is the fault.
    fn is_alone(self) -> bool {
        matches!(self.fault, Fault::Error | Fault::Panic)
    }

    /// What its database, its worker and its invitees are called.
    pub(super) fn name(self) -> String {
        format!("s{}-{}", self.place + 1, self.fault.as_str())
    }

    /// Has a worker fail here, and a healthy one go on where it cannot.
    pub(super) async fn play(self, stage: &Stage) -> anyhow::Result<Ended> {
        let (database, url) = stage.database(&self.name()).await?;
        let Database::Postgres(pool) = &database else {
            bail!("trials run on Postgres");
        };
        stage.invite(&database, self).await?;
        let armed = format!("{}=1*return({})", self.step, self.fault.as_str());
        let mut failing = stage.worker(self, &url, Some(&armed))?;
        let reached = format!("reached the fail point {}:", self.step);
        let log = stage.log_of(self);
        until("the step was not reached", || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            std::future::ready(Ok(log.contains(&reached)))
        })
        .await?;
        if self.fault == Fault::Kill {
            has_ended(&mut failing).await?;
        }
        let mut workers = vec![failing];
        if !self.is_alone() {
            workers.push(stage.worker(self, &url, None)?);
        }
        if self.fault == Fault::Stop {
            sleep(STOPPED).await;
            workers[0].signal(Signal::CONT)?;
            sleep(AWAKE).await;
        }
        until("the outbox did not drain", || async {
            let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM guestlist_outbox")
                .fetch_one(pool)
                .await?;
            Ok(waiting == 0)
        })
        .await?;
        // They finish what they have in hand.
        for process in &mut workers {
            if !process.has_ended() {
                process.signal(Signal::TERM)?;
                has_ended(process).await?;
            }
        }
        let recorded = sqlx::query_scalar(
            "SELECT count(*) FROM guestlist_invitations WHERE delivery = 'sent'",
        );
        Ok(Ended {
            recorded: recorded.fetch_one(pool).await?,
        })
    }
}

async fn has_ended(process: &mut Process) -> anyhow::Result<()> {
    until("a worker did not end", || {
        std::future::ready(Ok(process.has_ended()))
    })
    .await
}

/// Waits for a condition.
async fn until<F>(otherwise: &str, mut holds: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let deadline = Instant::now() + PATIENCE;
    while !holds().await? {
        if Instant::now() > deadline {
            bail!("{otherwise} within {} s", PATIENCE.as_secs());
        }
        sleep(TICK).await;
    }
    Ok(())
}

/// Servers that all cases share; each case has a database and queue keys of its own.
pub(super) struct Stage {
    folder: PathBuf,
    postgres: Postgres,
    redis: RedisServer,
    sink: Sink,
    keys: String,
    invitations: usize,
    /// A database is copied by one at a time.
    copying: Mutex<()>,
}

const TEMPLATE: &str = "migrated";

impl Stage {
    pub(super) async fn set(folder: &Path, invitations: usize) -> anyhow::Result<Self> {
        let stage = Self {
            folder: folder.to_owned(),
            postgres: Postgres::start(folder).await?,
            redis: RedisServer::start(folder).await?,
            sink: Sink::start(folder, 0).await?,
            keys: Key::generate().expose(),
            invitations,
            copying: Mutex::new(()),
        };
        stage.create(&format!("CREATE DATABASE {TEMPLATE}")).await?;
        let template = Database::connect(&stage.postgres.url_of(TEMPLATE), 1).await?;
        guestlist::migrate(&template).await?;
        template.close().await;
        Ok(stage)
    }

    /// The mail server's log.
    pub(super) fn log(&self) -> &Path {
        self.sink.log()
    }

    fn log_of(&self, case: Case) -> PathBuf {
        self.folder.join(format!("{}.log", case.name()))
    }

    async fn create(&self, statement: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await
            .with_context(|| statement.to_owned())?;
        Ok(connection.close().await?)
    }

    /// A new database, and its URL. A copy would be the same installation, with the same queue.
    async fn database(&self, name: &str) -> anyhow::Result<(Database, String)> {
        let _copying = self.copying.lock().await;
        let name = name.replace('-', "_");
        self.create(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
            .await?;
        let url = self.postgres.url_of(&name);
        let database = Database::connect(&url, 2).await?;
        if let Database::Postgres(pool) = &database {
            sqlx::query("UPDATE guestlist_installation SET id = gen_random_uuid()")
                .execute(pool)
                .await?;
        }
        Ok((database, url))
    }

    /// What a host does: invites everybody in one transaction.
    async fn invite(&self, database: &Database, case: Case) -> anyhow::Result<()> {
        let guestlist = Guestlist::builder()
            .key_ring(self.keys.parse()?)
            .limits(Limits::none())
            .build();
        let owner = User::new(OWNER.parse()?, "olivia@acme.example".parse()?);
        let mut transaction = database.begin().await?;
        let organization = guestlist
            .create(&mut transaction, "Acme".parse()?, &owner)
            .await?;
        let invites = self.invitees(case)?;
        for invited in guestlist
            .act(&owner.id)
            .in_organization(organization.id)
            .invite_all(&mut transaction, invites)
            .await?
        {
            invited?;
        }
        Ok(transaction.commit().await?)
    }

    fn invitees(&self, case: Case) -> anyhow::Result<Vec<Invite>> {
        let invite = |number| {
            let address = format!("{}-{number}@invitee.example", case.name());
            Ok(Invite::new(address.parse()?, "agent".parse()?))
        };
        (0..self.invitations).map(invite).collect()
    }

    /// A worker with one connection to the mail server, so that a fault there hits exactly one letter.
    fn worker(&self, case: Case, url: &str, armed: Option<&str>) -> anyhow::Result<Process> {
        let name = match armed {
            Some(_) => case.name(),
            None => format!("{}-healthy", case.name()),
        };
        let servers = Servers {
            database: url,
            redis: &self.redis.url(),
            smtp: &self.sink.url(&name),
            keys: &self.keys,
        };
        let mut command = worker::command(&std::env::current_exe()?, &servers);
        command.env("GUESTLIST_CONCURRENCY", "1");
        if let Some(armed) = armed {
            command.env("FAILPOINTS", armed);
        }
        let log = self.folder.join(format!("{name}.log"));
        Process::start(&name, &mut command, &log)
    }
}

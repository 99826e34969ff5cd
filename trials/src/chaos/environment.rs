//! Everything that runs during a trial.

mod inject;
mod operator;
mod smtp_faults;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use guestlist::{Database, Guestlist, Key, Limits, OrganizationId, User};
use tokio::time::Instant;

pub(crate) use self::operator::ByHand;
use super::Options;
use super::clocks::Clocks;
use super::fault::{Fault, Incident};
use crate::host::{self, Deed, OWNER};
use crate::oracle;
use crate::postgres::Postgres;
use crate::process::{Process, tied};
use crate::redis_server::RedisServer;
use crate::sink::Sink;
use crate::worker::{self, Servers};

/// In how many organizations people are invited.
const ORGANIZATIONS: usize = 8;

/// How long whoever supervises workers waits before one that ended by itself is started again.
const SUPERVISOR: Duration = Duration::from_millis(500);

/// Servers, hosts and workers. Whatever still runs ends when it is dropped.
pub(crate) struct Stage {
    folder: PathBuf,
    workers: Vec<Worker>,
    hosts: Vec<Host>,
    redis: RedisServer,
    sink: Sink,
    database: Database,
    postgres: Postgres,
    postgres_is_up: bool,
    program: PathBuf,
    keys: String,
    organizations: Vec<OrganizationId>,
    seed: u64,
    clocks: Clocks,
    incidents: Vec<Incident>,
    by_hand: ByHand,
}

/// A worker's place, and who is in it.
struct Worker {
    process: Option<Process>,
    incarnation: u32,
    stopped: bool,
    /// Since when nobody is in it because the last ended by itself.
    left_at: Option<Instant>,
}

/// A host's place, and who is in it.
struct Host {
    process: Option<Process>,
    incarnation: u32,
    stopped: bool,
    quota: u64,
    rate: f64,
    is_done: bool,
}

impl Stage {
    pub(crate) async fn set(folder: &Path, options: &Options) -> anyhow::Result<Self> {
        let postgres = Postgres::start(folder).await?;
        let redis = RedisServer::start(folder).await?;
        let sink = Sink::start(folder, 0).await?;
        if !options.easy_recipients {
            smtp_faults::of_recipients(sink.script());
        }
        let database = Database::connect(&postgres.url(), 4).await?;
        guestlist::migrate(&database).await?;
        oracle::watch(&database).await?;
        let organizations = organizations(&database).await?;
        let program = match &options.guestlist {
            Some(program) => program.canonicalize().context("the guestlist command")?,
            None => std::env::current_exe()?,
        };
        let hosts = u64::from(options.hosts);
        let rate = options.invitations as f64 / (options.minutes * 60.0) / hosts as f64;
        let mut stage = Self {
            folder: folder.to_owned(),
            workers: Vec::new(),
            hosts: Vec::new(),
            redis,
            sink,
            database,
            postgres,
            postgres_is_up: true,
            program,
            keys: Key::generate().expose(),
            organizations,
            seed: options.seed,
            clocks: Clocks {
                most: Duration::from_secs(options.clock_skew.into()),
                seed: options.seed,
            },
            incidents: Vec::new(),
            by_hand: ByHand::default(),
        };
        for place in 0..usize::from(options.workers) {
            stage.workers.push(Worker {
                process: None,
                incarnation: 0,
                stopped: false,
                left_at: None,
            });
            stage.start_worker(place)?;
        }
        for place in 0..hosts {
            let quota =
                options.invitations / hosts + u64::from(place < options.invitations % hosts);
            stage.hosts.push(Host {
                process: None,
                incarnation: 0,
                stopped: false,
                quota,
                rate,
                is_done: false,
            });
            stage.start_host(usize::try_from(place)?)?;
        }
        Ok(stage)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn by_hand(&self) -> ByHand {
        self.by_hand
    }

    pub(crate) fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// Starts again what ended by itself, as an operating system's supervisor does.
    pub(crate) async fn tend(&mut self) -> anyhow::Result<()> {
        for place in 0..self.workers.len() {
            let worker = &mut self.workers[place];
            if worker
                .left_at
                .is_some_and(|left| left.elapsed() > SUPERVISOR)
            {
                self.start_worker(place)?;
                continue;
            }
            let Some(process) = worker.process.as_mut() else {
                continue;
            };
            if process.has_ended() {
                let now = Utc::now();
                self.incidents.push(Incident {
                    fault: Fault::WorkerExit,
                    process: Some(process.name().to_owned()),
                    from: now,
                    until: Some(now),
                });
                (worker.process, worker.left_at) = (None, Some(Instant::now()));
            }
        }
        if self.postgres_is_up {
            for place in 0..self.hosts.len() {
                let host = &mut self.hosts[place];
                if !host.is_done && host.process.as_mut().is_none_or(Process::has_ended) {
                    self.start_host(place)?;
                }
            }
        }
        Ok(())
    }

    /// Whether everybody is invited who was to be.
    pub(crate) fn hosts_are_done(&self) -> bool {
        self.hosts.iter().all(|host| host.is_done)
    }

    /// How many messages the outbox holds, whatever their state.
    pub(crate) async fn waiting(&self) -> anyhow::Result<i64> {
        anyhow::ensure!(self.postgres_is_up, "Postgres is down");
        let Database::Postgres(pool) = &self.database else {
            anyhow::bail!("trials run on Postgres");
        };
        Ok(sqlx::query_scalar("SELECT count(*) FROM guestlist_outbox")
            .fetch_one(pool)
            .await?)
    }

    fn start_worker(&mut self, place: usize) -> anyhow::Result<()> {
        let seat = &mut self.workers[place];
        seat.incarnation += 1;
        (seat.stopped, seat.left_at) = (false, None);
        let name = format!("w{place}-{}", seat.incarnation);
        let servers = Servers {
            database: &self.postgres.url(),
            redis: &self.redis.url(),
            smtp: &self.sink.url(&name),
            keys: &self.keys,
        };
        let mut command = worker::command(&self.program, &servers);
        let off = self.clocks.of(place).num_milliseconds();
        if off != 0 {
            command.arg(format!("--clock-off-ms={off}"));
        }
        seat.process = Some(Process::start(
            &name,
            &mut command,
            &self.folder.join(format!("{name}.log")),
        )?);
        Ok(())
    }

    fn start_host(&mut self, place: usize) -> anyhow::Result<()> {
        let invited = self.invited_by(place)?;
        let host = &mut self.hosts[place];
        if invited >= host.quota {
            host.is_done = true;
            return Ok(());
        }
        host.incarnation += 1;
        host.stopped = false;
        let name = format!("h{place}-{}", host.incarnation);
        let mut command = tied(&std::env::current_exe()?, "KILL");
        command
            .arg("host")
            .arg(format!("--database={}", self.postgres.url()))
            .arg(format!("--keys={}", self.keys))
            .arg(format!(
                "--journal={}",
                journal(&self.folder, place).display()
            ))
            .arg(format!("--name={name}"))
            .arg(format!(
                "--seed={}",
                self.seed.wrapping_mul(1_000_003)
                    + 1000 * place as u64
                    + u64::from(host.incarnation)
            ))
            .arg(format!("--invitations={}", host.quota - invited))
            .arg(format!("--rate={}", host.rate))
            .arg(format!(
                "--clock-off-ms={}",
                self.clocks.of(place).num_milliseconds()
            ))
            .arg("--organizations")
            .args(self.organizations.iter().map(ToString::to_string));
        host.process = Some(Process::start(
            &name,
            &mut command,
            &self.folder.join(format!("h{place}.log")),
        )?);
        Ok(())
    }

    fn invited_by(&self, place: usize) -> anyhow::Result<u64> {
        let deeds = host::committed(&journal(&self.folder, place))?;
        let invited = deeds.iter().map(|deed| match deed {
            Deed::Invited(ids) => ids.len() as u64,
            _ => 0,
        });
        Ok(invited.sum())
    }
}

fn journal(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("h{place}.jsonl"))
}

async fn organizations(database: &Database) -> anyhow::Result<Vec<OrganizationId>> {
    let guestlist = Guestlist::builder().limits(Limits::none()).build();
    let owner = User::new(OWNER.parse()?, "olivia@acme.example".parse()?);
    let mut organizations = Vec::new();
    for _ in 0..ORGANIZATIONS {
        let mut transaction = database.begin().await?;
        let organization = guestlist
            .create(&mut transaction, "Acme".parse()?, &owner)
            .await?;
        transaction.commit().await?;
        organizations.push(organization.id);
    }
    Ok(organizations)
}

//! The servers, hosts and workers of a trial.

mod inject;
mod operator;
mod smtp_faults;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use guestlist::{Database, Guestlist, Key, Limits, OrganizationId};
use guestlist_testkit::process::{Process, child_command};
use guestlist_testkit::{PostgresServer, RedisServer};
use tokio::time::Instant;

pub(crate) use self::operator::ManualRetries;
use super::Options;
use super::clocks::Clocks;
use crate::fault::{Fault, Incident};
use crate::host::{self, Operation, create_organization};
use crate::oracle;
use crate::postgres;
use crate::sink::Sink;
use crate::worker::{self, Servers};

/// Number of organizations that people are invited into.
const ORGANIZATIONS: usize = 8;

/// Delay before a worker that exited by itself is started again, as a process supervisor does.
const RESTART_DELAY: Duration = Duration::from_millis(500);

/// Servers, hosts and workers. Dropping it ends all of them.
pub(crate) struct Environment {
    folder: PathBuf,
    workers: Vec<Worker>,
    hosts: Vec<Host>,
    redis: RedisServer,
    sink: Sink,
    database: Database,
    postgres: PostgresServer,
    postgres_is_up: bool,
    program: PathBuf,
    keys: String,
    organizations: Vec<OrganizationId>,
    seed: u64,
    clocks: Clocks,
    incidents: Vec<Incident>,
    manual_retries: ManualRetries,
}

/// A worker slot, and the process that runs in it now.
struct Worker {
    process: Option<Process>,
    incarnation: u32,
    stopped: bool,
    /// Time at which the last process exited by itself, until the next is started.
    exited_at: Option<Instant>,
}

/// A host slot, and the process that runs in it now.
struct Host {
    process: Option<Process>,
    incarnation: u32,
    stopped: bool,
    quota: u64,
    rate: f64,
    is_done: bool,
}

impl Environment {
    pub(crate) async fn start(folder: &Path, options: &Options) -> anyhow::Result<Self> {
        let postgres = postgres::start(folder).await?;
        let redis = RedisServer::builder().folder(folder).start().await?;
        let sink = Sink::start(folder, 0).await?;
        if !options.easy_recipients {
            smtp_faults::add_recipient_rules(sink.server());
        }
        let database = Database::connect(&postgres.url(), 4).await?;
        guestlist::migrate(&database).await?;
        oracle::install_triggers(&database).await?;
        let organizations = create_organizations(&database).await?;
        let program = match &options.guestlist {
            Some(program) => program.canonicalize().context("the guestlist command")?,
            None => std::env::current_exe()?,
        };
        let hosts = u64::from(options.hosts);
        let rate = options.invitations as f64 / (options.minutes * 60.0) / hosts as f64;
        let mut environment = Self {
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
                max_skew: Duration::from_secs(options.clock_skew.into()),
                seed: options.seed,
            },
            incidents: Vec::new(),
            manual_retries: ManualRetries::default(),
        };
        for index in 0..usize::from(options.workers) {
            environment.workers.push(Worker {
                process: None,
                incarnation: 0,
                stopped: false,
                exited_at: None,
            });
            environment.start_worker(index)?;
        }
        for index in 0..hosts {
            let quota =
                options.invitations / hosts + u64::from(index < options.invitations % hosts);
            environment.hosts.push(Host {
                process: None,
                incarnation: 0,
                stopped: false,
                quota,
                rate,
                is_done: false,
            });
            environment.start_host(usize::try_from(index)?)?;
        }
        Ok(environment)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn manual_retries(&self) -> ManualRetries {
        self.manual_retries
    }

    pub(crate) fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// Restarts processes that exited by themselves, as a process supervisor does.
    pub(crate) async fn restart_exited(&mut self) -> anyhow::Result<()> {
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker
                .exited_at
                .is_some_and(|exited_at| exited_at.elapsed() > RESTART_DELAY)
            {
                self.start_worker(index)?;
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
                (worker.process, worker.exited_at) = (None, Some(Instant::now()));
            }
        }
        if self.postgres_is_up {
            for index in 0..self.hosts.len() {
                let host = &mut self.hosts[index];
                if !host.is_done && host.process.as_mut().is_none_or(Process::has_ended) {
                    self.start_host(index)?;
                }
            }
        }
        Ok(())
    }

    /// Returns true once the hosts have invited everyone.
    pub(crate) fn hosts_are_done(&self) -> bool {
        self.hosts.iter().all(|host| host.is_done)
    }

    /// Number of messages in the outbox, in any state.
    pub(crate) async fn outbox_size(&self) -> anyhow::Result<i64> {
        anyhow::ensure!(self.postgres_is_up, "Postgres is down");
        let Database::Postgres(pool) = &self.database else {
            anyhow::bail!("trials run on Postgres");
        };
        Ok(sqlx::query_scalar("SELECT count(*) FROM guestlist_outbox")
            .fetch_one(pool)
            .await?)
    }

    fn start_worker(&mut self, index: usize) -> anyhow::Result<()> {
        let worker = &mut self.workers[index];
        worker.incarnation += 1;
        (worker.stopped, worker.exited_at) = (false, None);
        let name = format!("w{index}-{}", worker.incarnation);
        let servers = Servers {
            database: &self.postgres.url(),
            redis: &self.redis.url(),
            smtp: &self.sink.url(&name),
            keys: &self.keys,
        };
        let mut command = worker::command(&self.program, &servers);
        let skew = self.clocks.skew_of(index).num_milliseconds();
        if skew != 0 {
            command.arg(format!("--clock-skew-ms={skew}"));
        }
        worker.process = Some(Process::start(
            &name,
            command,
            &self.folder.join(format!("{name}.log")),
        )?);
        Ok(())
    }

    fn start_host(&mut self, index: usize) -> anyhow::Result<()> {
        let invited = self.invited_by(index)?;
        let host = &mut self.hosts[index];
        if invited >= host.quota {
            host.is_done = true;
            return Ok(());
        }
        host.incarnation += 1;
        host.stopped = false;
        let name = format!("h{index}-{}", host.incarnation);
        let mut command = child_command(&std::env::current_exe()?, "KILL");
        command
            .arg("host")
            .arg(format!("--database={}", self.postgres.url()))
            .arg(format!("--keys={}", self.keys))
            .arg(format!(
                "--journal={}",
                journal(&self.folder, index).display()
            ))
            .arg(format!("--name={name}"))
            .arg(format!(
                "--seed={}",
                self.seed.wrapping_mul(1_000_003)
                    + 1000 * index as u64
                    + u64::from(host.incarnation)
            ))
            .arg(format!("--invitations={}", host.quota - invited))
            .arg(format!("--rate={}", host.rate))
            .arg(format!(
                "--clock-skew-ms={}",
                self.clocks.skew_of(index).num_milliseconds()
            ))
            .arg("--organizations")
            .args(self.organizations.iter().map(ToString::to_string));
        host.process = Some(Process::start(
            &name,
            command,
            &self.folder.join(format!("h{index}.log")),
        )?);
        Ok(())
    }

    fn invited_by(&self, index: usize) -> anyhow::Result<u64> {
        let operations = host::committed(&journal(&self.folder, index))?;
        let invited = operations.iter().map(|operation| match operation {
            Operation::Invited(ids) => ids.len() as u64,
            _ => 0,
        });
        Ok(invited.sum())
    }
}

fn journal(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("h{index}.jsonl"))
}

async fn create_organizations(database: &Database) -> anyhow::Result<Vec<OrganizationId>> {
    let guestlist = Guestlist::builder().limits(Limits::none()).build();
    let mut organizations = Vec::new();
    for _ in 0..ORGANIZATIONS {
        organizations.push(create_organization(database, &guestlist).await?);
    }
    Ok(organizations)
}

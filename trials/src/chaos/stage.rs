//! Everything that runs during a trial, and what is done to it.

mod misbehaviour;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use guestlist::outbox::{self, Message, State};
use guestlist::{Database, Key, Limits, OrganizationId, Organizations, User};
use rustix::process::Signal;

use super::Options;
use super::fault::{Fault, Incident};
use super::schedule::{Schedule, Step};
use crate::host::{self, Deed, OWNER};
use crate::oracle;
use crate::postgres::Postgres;
use crate::process::{Process, tied};
use crate::redis_server::RedisServer;
use crate::sink::Sink;

/// In how many organizations people are invited.
const ORGANIZATIONS: usize = 8;

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
    incidents: Vec<Incident>,
    by_hand: ByHand,
}

/// What an operator's retries were about.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ByHand {
    /// What a recipient's server had put off for minutes.
    pub(crate) put_off: usize,
    /// What was set aside as dead.
    pub(crate) dead: usize,
}

/// A worker's place, and who is in it.
struct Worker {
    process: Option<Process>,
    incarnation: u32,
    stopped: bool,
    rests: bool,
}

/// A host's place, and who is in it.
struct Host {
    process: Option<Process>,
    incarnation: u32,
    quota: u64,
    rate: f64,
    is_done: bool,
}

impl Stage {
    pub(crate) async fn set(folder: &Path, options: &Options) -> anyhow::Result<Self> {
        let folder = folder.canonicalize()?;
        // Postgres runs as nobody where this runs as root, and has to come by.
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let postgres = Postgres::start(&folder).await?;
        let redis = RedisServer::start(&folder).await?;
        let sink = Sink::start(&folder, 0).await?;
        misbehaviour::of_recipients(sink.script());
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
            folder,
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
            incidents: Vec::new(),
            by_hand: ByHand::default(),
        };
        for place in 0..usize::from(options.workers) {
            stage.workers.push(Worker {
                process: None,
                incarnation: 0,
                stopped: false,
                rests: false,
            });
            stage.start_worker(place)?;
        }
        for place in 0..hosts {
            let quota =
                options.invitations / hosts + u64::from(place < options.invitations % hosts);
            stage.hosts.push(Host {
                process: None,
                incarnation: 0,
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

    /// Does a step, and says what follows and after how long.
    pub(crate) async fn take(
        &mut self,
        step: Step,
        schedule: &mut Schedule,
    ) -> anyhow::Result<Option<(Duration, Step)>> {
        match step {
            Step::Begin(fault) => self.begin(fault, schedule).await,
            Step::StartWorker(place) => self.start_worker(place).map(|()| None),
            Step::Continue { place, incarnation } => {
                let worker = &mut self.workers[place];
                if worker.incarnation == incarnation && worker.stopped {
                    worker.stopped = false;
                    if let Some(process) = &worker.process {
                        process.signal(Signal::CONT)?;
                        close(&mut self.incidents, Fault::WorkerStop, Some(process.name()));
                    }
                }
                Ok(None)
            }
            Step::End(fault) => self.end(fault).await.map(|()| None),
        }
    }

    async fn begin(
        &mut self,
        fault: Fault,
        schedule: &mut Schedule,
    ) -> anyhow::Result<Option<(Duration, Step)>> {
        let (mut lasts, mut target) = (None, None);
        // Noted when it begins, since what it explains may happen before it is over.
        let from = Utc::now();
        match fault {
            Fault::WorkerKill => {
                let Some(place) = self.some_worker(schedule) else {
                    return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let worker = &mut self.workers[place];
                if let Some(mut process) = worker.process.take() {
                    process.kill()?;
                    target = Some(process.name().to_owned());
                }
                worker.rests = true;
                lasts = Some((schedule.time(0.0..1.0), Step::StartWorker(place)));
            }
            Fault::WorkerStop => {
                let Some(place) = self.some_worker(schedule) else {
                    return Ok(Some((Duration::from_millis(500), Step::Begin(fault))));
                };
                let worker = &mut self.workers[place];
                if let Some(process) = &worker.process {
                    process.signal(Signal::STOP)?;
                    target = Some(process.name().to_owned());
                }
                worker.stopped = true;
                let incarnation = worker.incarnation;
                lasts = Some((
                    schedule.time(22.0..28.0),
                    Step::Continue { place, incarnation },
                ));
            }
            Fault::HostKill => {
                let place = schedule.draw(self.hosts.len());
                if let Some(mut process) = self.hosts[place].process.take() {
                    process.kill()?;
                }
            }
            Fault::PostgresStop => {
                self.postgres.stop_immediately()?;
                self.postgres_is_up = false;
                lasts = Some((schedule.time(0.0..2.0), Step::End(fault)));
            }
            Fault::RedisRestart => {
                self.redis.kill()?;
                lasts = Some((schedule.time(0.0..3.0), Step::End(fault)));
            }
            Fault::RedisFlush => self.redis.command("FLUSHALL").await?,
            Fault::RedisClientKill => self.redis.command("CLIENT KILL TYPE normal").await?,
            Fault::RedisFull => {
                self.redis.command("CONFIG SET maxmemory 1").await?;
                lasts = Some((schedule.time(1.0..3.0), Step::End(fault)));
            }
            Fault::RedisReadOnly => {
                self.redis.command("REPLICAOF 127.0.0.1 1").await?;
                lasts = Some((schedule.time(1.0..3.0), Step::End(fault)));
            }
            Fault::SmtpOutage => {
                self.sink.close().await;
                lasts = Some((schedule.time(1.0..4.0), Step::End(fault)));
            }
            Fault::Misbehaviour => {
                let lasting = schedule.time(0.5..2.0);
                misbehaviour::at_once(self.sink.script(), lasting, schedule);
                lasts = Some((lasting, Step::End(fault)));
            }
            Fault::WorkerExit => {}
        }
        self.incidents.push(Incident {
            fault,
            worker: target,
            from,
            until: lasts.is_none().then(Utc::now),
        });
        Ok(lasts)
    }

    async fn end(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::PostgresStop => {
                self.postgres.go_on()?;
                self.postgres.until_ready().await?;
                self.postgres_is_up = true;
            }
            Fault::RedisRestart => self.redis.go_on()?,
            Fault::RedisFull => self.redis.command("CONFIG SET maxmemory 0").await?,
            Fault::RedisReadOnly => self.redis.command("REPLICAOF NO ONE").await?,
            Fault::SmtpOutage => self.sink.open()?,
            _ => {}
        }
        close(&mut self.incidents, fault, None);
        Ok(())
    }

    /// A worker that runs and is not stopped.
    fn some_worker(&self, schedule: &mut Schedule) -> Option<usize> {
        let awake: Vec<_> = (0..self.workers.len())
            .filter(|&place| self.workers[place].process.is_some() && !self.workers[place].stopped)
            .collect();
        (!awake.is_empty()).then(|| awake[schedule.draw(awake.len())])
    }

    /// Starts again what ended by itself, as an operating system's supervisor does.
    pub(crate) async fn tend(&mut self) -> anyhow::Result<()> {
        for place in 0..self.workers.len() {
            let worker = &mut self.workers[place];
            let Some(process) = worker.process.as_mut().filter(|_| !worker.rests) else {
                continue;
            };
            if process.has_ended() {
                let now = Utc::now();
                self.incidents.push(Incident {
                    fault: Fault::WorkerExit,
                    worker: Some(process.name().to_owned()),
                    from: now,
                    until: Some(now),
                });
                self.start_worker(place)?;
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

    /// Ends what faults left behind, so that nothing but the trial's own time is waited for.
    pub(crate) async fn restore(&mut self) -> anyhow::Result<()> {
        self.redis.command("CONFIG SET maxmemory 0").await?;
        self.redis.command("REPLICAOF NO ONE").await?;
        self.hosts.clear();
        Ok(())
    }

    /// What an operator does when the trouble is over: has another look at what was set aside, and
    /// does not wait for the next attempt at what a recipient's server put off for minutes.
    pub(crate) async fn operate(&mut self) -> anyhow::Result<()> {
        let mut connection = self.database.acquire().await?;
        let now = Utc::now();
        let soon = now + TimeDelta::seconds(2);
        let ready = outbox::list(&mut connection, now, State::Ready, None, 100_000).await?;
        // An attempt that is no fault was spent because the recipient's server asked to wait.
        let is_put_off =
            |message: &&Message| message.run_at > soon && message.attempts > message.faults;
        for message in ready.iter().filter(is_put_off) {
            self.by_hand.put_off +=
                usize::from(outbox::retry(&mut connection, now, message.id).await?);
        }
        let dead = outbox::list(&mut connection, now, State::Dead, None, 100_000).await?;
        oracle::note_dead(&self.database, &dead).await?;
        outbox::retry_dead(&mut connection, now).await?;
        self.by_hand.dead += dead.len();
        Ok(())
    }

    /// How many messages the outbox holds, whatever their state.
    pub(crate) async fn waiting(&self) -> anyhow::Result<i64> {
        let Database::Postgres(pool) = &self.database else {
            anyhow::bail!("trials run on Postgres");
        };
        Ok(sqlx::query_scalar("SELECT count(*) FROM guestlist_outbox")
            .fetch_one(pool)
            .await?)
    }

    fn start_worker(&mut self, place: usize) -> anyhow::Result<()> {
        let worker = &mut self.workers[place];
        worker.incarnation += 1;
        (worker.stopped, worker.rests) = (false, false);
        let name = format!("w{place}-{}", worker.incarnation);
        let mut command = tied(&self.program, "KILL");
        command
            .arg("work")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", self.postgres.url())
            .env("REDIS_URL", self.redis.url())
            .env("SMTP_URL", self.sink.url(&name))
            .env("GUESTLIST_KEYS", &self.keys)
            .env("GUESTLIST_FROM", "Acme <team@acme.example>")
            .env("GUESTLIST_REMINDER", "off");
        worker.process = Some(Process::start(
            &name,
            &mut command,
            &self.folder.join(format!("w{place}.log")),
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

/// Notes that the oldest open incident of this kind is over.
fn close(incidents: &mut [Incident], fault: Fault, worker: Option<&str>) {
    let open = incidents.iter_mut().find(|incident| {
        incident.fault == fault && incident.until.is_none() && incident.worker.as_deref() == worker
    });
    if let Some(incident) = open {
        incident.until = Some(Utc::now());
    }
}

async fn organizations(database: &Database) -> anyhow::Result<Vec<OrganizationId>> {
    let library = Organizations::builder().limits(Limits::none()).build();
    let owner = User::new(OWNER.parse()?, "olivia@acme.example".parse()?);
    let mut organizations = Vec::new();
    for _ in 0..ORGANIZATIONS {
        let mut transaction = database.begin().await?;
        let organization = library
            .create(&mut transaction, "Acme".parse()?, &owner)
            .await?;
        transaction.commit().await?;
        organizations.push(organization.id);
    }
    Ok(organizations)
}

//! Redis failovers under load: every invitation still gets exactly one letter.

mod cluster;
mod node;
mod sentinels;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use guestlist::{Database, Guestlist, Invite, Key, KeyRing, Limits, OrganizationId, User, UserId};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use self::cluster::Cluster;
use self::sentinels::Sentinels;
use crate::host::OWNER;
use crate::oracle;
use crate::postgres::Postgres;
use crate::process::{Process, child_command};
use crate::sink::{self, Accepted, Entry, Sink};

/// The Redis topology, the number of failovers and the load.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Redis topology.
    #[arg(value_enum)]
    redis: Topology,
    /// Number of masters to kill, one after the other.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    failovers: u16,
    /// Seconds of load before each kill and after the last.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Number of people to invite per second, one by one.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Number of people to invite at once right before each kill, so that Redis holds much work.
    #[arg(long, default_value_t = 1000)]
    burst: u32,
    /// Number of worker processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    workers: u16,
    /// Keep databases and logs in this folder, which must not exist yet. Without this option they are in
    /// a temporary folder.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// The Redis topology of a trial.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Topology {
    /// A master, two replicas and three sentinels.
    Sentinel,
    /// A cluster of three masters with a replica each.
    Cluster,
}

/// Time-out of every wait: for a promotion, a replica to synchronize, the last letter.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The Redis servers of a trial.
enum Redis {
    Sentinels(Sentinels),
    Cluster(Cluster),
}

impl Redis {
    async fn start(topology: Topology, folder: &Path) -> anyhow::Result<Self> {
        Ok(match topology {
            Topology::Sentinel => Self::Sentinels(Sentinels::start(folder).await?),
            Topology::Cluster => Self::Cluster(Cluster::start(folder).await?),
        })
    }

    fn url(&self) -> String {
        match self {
            Self::Sentinels(sentinels) => sentinels.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// Index of the server that holds the queue now.
    async fn master(&self) -> Option<usize> {
        match self {
            Self::Sentinels(sentinels) => sentinels.master().await,
            Self::Cluster(cluster) => cluster.master().await,
        }
    }

    fn nodes(&mut self) -> &mut [node::Node] {
        match self {
            Self::Sentinels(sentinels) => sentinels.nodes(),
            Self::Cluster(cluster) => cluster.nodes(),
        }
    }
}

/// Waits until a condition holds.
async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !holds().await {
        if Instant::now() > deadline {
            bail!("timed out waiting until {what}");
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A host that invites until it is told to stop.
struct Host {
    database: Database,
    guestlist: Guestlist,
    owner: UserId,
    organization: OrganizationId,
    /// Addresses whose invitation was committed.
    invited: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

impl Host {
    async fn new(database: &Database, keys: KeyRing) -> anyhow::Result<Arc<Self>> {
        let guestlist = Guestlist::builder()
            .key_ring(keys)
            .limits(Limits::none())
            .build();
        let owner = User::new(OWNER.parse()?, "olivia@acme.example".parse()?);
        let mut transaction = database.begin().await?;
        let organization = guestlist
            .create(&mut transaction, "Acme".parse()?, &owner)
            .await?;
        transaction.commit().await?;
        Ok(Arc::new(Self {
            database: database.clone(),
            guestlist,
            owner: owner.id,
            organization: organization.id,
            invited: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        }))
    }

    /// Invites one by one, `rate` people per second.
    async fn work(self: Arc<Self>, rate: u32) -> anyhow::Result<()> {
        let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0.. {
            ticks.tick().await;
            if self.is_stopped.load(Relaxed) {
                break;
            }
            self.invite(vec![format!("p-{number}@invitee.example")])
                .await?;
        }
        Ok(())
    }

    async fn invite(&self, emails: Vec<String>) -> anyhow::Result<()> {
        let invites = emails
            .iter()
            .map(|email| {
                let (email, role) = (email.parse()?, "agent".parse()?);
                Ok(Invite::new(email, role))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut transaction = self.database.begin().await?;
        let outcomes = self
            .guestlist
            .act(&self.owner)
            .in_organization(self.organization)
            .invite_all(&mut transaction, invites)
            .await?;
        transaction.commit().await?;
        for outcome in outcomes {
            outcome.context("an invitation was refused")?;
        }
        self.invited().extend(emails);
        Ok(())
    }

    fn invited(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.invited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the trial. The exit status is 1 unless every recipient got exactly one letter.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let temporary;
    let folder: &Path = match &options.folder {
        Some(folder) => {
            std::fs::create_dir(folder)?;
            folder
        }
        None => {
            temporary = tempfile::Builder::new()
                .prefix("guestlist-trials-")
                .tempdir()?;
            temporary.path()
        }
    };
    let folder = folder.canonicalize()?;
    // Lets other users enter, because Postgres runs as `nobody` if this program runs as root.
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    let report = run_trial(&folder, &options).await?;
    println!("{report}");
    if let Some(folder) = &options.folder {
        println!("evidence in {}", folder.display());
    }
    Ok(if report.is_kept() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn run_trial(folder: &Path, options: &Options) -> anyhow::Result<Report> {
    let postgres = Postgres::start(folder).await?;
    let mut redis = Redis::start(options.redis, folder).await?;
    let sink = Sink::start(folder, 0).await?;
    let database = Database::connect(&postgres.url(), 8).await?;
    guestlist::migrate(&database).await?;
    oracle::install_triggers(&database).await?;
    let keys = Key::generate().expose();
    let host = Host::new(&database, keys.parse()?).await?;
    let mut workers = Vec::new();
    for index in 0..options.workers {
        let name = format!("w{index}");
        let mut command = child_command(&std::env::current_exe()?, "KILL");
        command
            .arg("work")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", postgres.url())
            .env("REDIS_URL", redis.url())
            .env("SMTP_URL", sink.url(&name))
            .env("GUESTLIST_KEYS", &keys)
            .env("GUESTLIST_FROM", "Acme <team@acme.example>")
            .env("GUESTLIST_REMINDER", "off");
        let log = folder.join(format!("{name}.log"));
        workers.push(Process::start(&name, &mut command, &log)?);
    }
    let work = tokio::spawn(Arc::clone(&host).work(options.rate));
    wait_until("the first letter is sent", async || {
        letters(&sink).is_ok_and(|letters| !letters.is_empty())
    })
    .await?;

    let mut failovers = Vec::new();
    for number in 0..options.failovers {
        sleep(Duration::from_secs(options.seconds)).await;
        let burst = (0..options.burst).map(|person| format!("b-{number}-{person}@invitee.example"));
        host.invite(burst.collect()).await?;
        let (failover, killed) = fail_over(&mut redis, u64::from(options.burst / 4)).await?;
        failovers.push(failover);
        if number + 1 < options.failovers {
            bring_back(&mut redis.nodes()[killed]).await?;
        }
    }
    sleep(Duration::from_secs(options.seconds)).await;
    host.is_stopped.store(true, Relaxed);
    work.await??;

    let since = Instant::now();
    let drained = wait_until("the outbox is empty", async || {
        matches!(
            count(&database, "SELECT count(*) FROM guestlist_outbox").await,
            Ok(0)
        )
    });
    let drained = drained.await.ok().map(|()| since.elapsed());
    for worker in &mut workers {
        if worker.has_ended() {
            bail!("the worker {} exited by itself", worker.name());
        }
    }
    let recovered = "SELECT count(*) FROM trials_settled WHERE generation > 1";
    Ok(Report {
        recovered: count(&database, recovered).await?,
        drained,
        ..Report::new(&host.invited(), &letters(&sink)?, failovers)
    })
}

/// Kills the master once it holds at least `minimum` dispatches, and waits for a new master. Returns also
/// the index of the killed server.
async fn fail_over(redis: &mut Redis, minimum: u64) -> anyhow::Result<(Failover, usize)> {
    let old = redis.master().await.context("there is no master")?;
    let master = &mut redis.nodes()[old];
    let mut dispatches = 0;
    wait_until("the master holds enough dispatches", async || {
        dispatches = master.dispatches().await.unwrap_or(0);
        dispatches >= minimum
    })
    .await?;
    master.kill()?;
    let (killed_at, since) = (Utc::now(), Instant::now());
    wait_until("another server is the master", async || {
        redis.master().await.is_some_and(|new| new != old)
    })
    .await?;
    let failover = Failover {
        killed_at,
        dispatches,
        promotion: since.elapsed(),
        next_letter: None,
    };
    Ok((failover, old))
}

/// Restarts a killed server, which becomes a replica.
async fn bring_back(killed: &mut node::Node) -> anyhow::Result<()> {
    killed.spawn()?;
    wait_until("the killed server follows the new master", async || {
        killed.is_synchronized().await
    })
    .await
}

fn letters(sink: &Sink) -> anyhow::Result<Vec<Accepted>> {
    let entries = sink::read(sink.log())?.into_iter();
    Ok(entries
        .filter_map(|entry| match entry {
            Entry::Accepted(letter) => Some(letter),
            Entry::Refused { .. } => None,
        })
        .collect())
}

async fn count(database: &Database, statement: &'static str) -> anyhow::Result<i64> {
    let Database::Postgres(pool) = database else {
        bail!("trials run on Postgres");
    };
    Ok(sqlx::query_scalar(statement).fetch_one(pool).await?)
}

/// The death of a master.
struct Failover {
    killed_at: DateTime<Utc>,
    /// Number of dispatches that it held.
    dispatches: u64,
    /// Time until another server was the master.
    promotion: Duration,
    /// Time until a worker began a letter after the promotion.
    next_letter: Option<Duration>,
}

/// The counts of a trial.
#[derive(Default)]
struct Report {
    invited: usize,
    letters: usize,
    lost: usize,
    unexpected: usize,
    twice: usize,
    recovered: i64,
    drained: Option<Duration>,
    failovers: Vec<Failover>,
}

impl Report {
    fn new(invited: &[String], letters: &[Accepted], mut failovers: Vec<Failover>) -> Self {
        let mut received: HashMap<&str, Vec<&Accepted>> = HashMap::new();
        for letter in letters {
            received.entry(&letter.to).or_default().push(letter);
        }
        for failover in &mut failovers {
            // Counts from the promotion: until then workers send what the dead master had handed out.
            let begun = letters.iter().filter_map(|letter| {
                let since = (letter.began_at - failover.killed_at).to_std().ok()?;
                (since >= failover.promotion).then_some(since)
            });
            failover.next_letter = begun.min();
        }
        let mut report = Self {
            invited: invited.len(),
            letters: letters.len(),
            failovers,
            ..Self::default()
        };
        for email in invited {
            match received.remove(email.as_str()).map(|all| all.len()) {
                None => report.lost += 1,
                Some(copies) => report.twice += copies - 1,
            }
        }
        report.unexpected = received.values().map(Vec::len).sum();
        report
    }

    fn is_kept(&self) -> bool {
        self.lost + self.unexpected + self.twice == 0
            && self.drained.is_some()
            && self
                .failovers
                .iter()
                .all(|failover| failover.next_letter.is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Option<Duration>| {
            time.map_or("never".to_owned(), |time| {
                format!("after {:.1} s", time.as_secs_f64())
            })
        };
        for failover in &self.failovers {
            writeln!(
                f,
                "a master was killed with {} dispatches; another was promoted {}, and the next letter \
                 was begun {}",
                failover.dispatches,
                seconds(Some(failover.promotion)),
                seconds(failover.next_letter)
            )?;
        }
        writeln!(f, "{:>8}  invited", self.invited)?;
        writeln!(f, "{:>8}  letters", self.letters)?;
        writeln!(
            f,
            "{:>8}  recovered: settled under a second or later lease",
            self.recovered
        )?;
        writeln!(f, "must be zero")?;
        writeln!(f, "{:>8}  lost", self.lost)?;
        writeln!(f, "{:>8}  unexpected", self.unexpected)?;
        writeln!(f, "{:>8}  sent twice", self.twice)?;
        match self.drained {
            Some(time) => writeln!(
                f,
                "drained {:.1} s after the last invitation",
                time.as_secs_f64()
            )?,
            None => writeln!(f, "NOT DRAINED within {} s", WAIT_TIMEOUT.as_secs())?,
        }
        f.write_str(if self.is_kept() {
            "every recipient got exactly one letter"
        } else {
            "A PROMISE WAS BROKEN"
        })
    }
}

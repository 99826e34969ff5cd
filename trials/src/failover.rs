//! Redis failovers under load: every invitation still gets exactly one letter.

mod cluster;
mod host;
mod node;
mod report;
mod sentinels;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::Utc;
use clap::{Args, ValueEnum};
use guestlist::{Database, Key};
use guestlist_testkit::process::Process;
use tokio::time::{Instant, sleep};

use self::cluster::Cluster;
use self::host::Host;
use self::report::{Failover, Report};
use self::sentinels::Sentinels;
use crate::evidence::Evidence;
use crate::oracle;
use crate::postgres;
use crate::sink::{self, Accepted, Entry, Sink};
use crate::worker::{self, Servers};

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
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

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

/// Runs the trial. The exit status is 1 unless every recipient got exactly one letter.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let evidence = Evidence::create(options.folder.as_deref())?;
    let folder = evidence.folder().canonicalize()?;
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
    let postgres = postgres::start(folder).await?;
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
        let servers = Servers {
            database: &postgres.url(),
            redis: &redis.url(),
            smtp: &sink.url(&name),
            keys: &keys,
        };
        let command = worker::command(&std::env::current_exe()?, &servers);
        let log = folder.join(format!("{name}.log"));
        workers.push(Process::start(&name, command, &log)?);
    }
    let inviting = tokio::spawn(Arc::clone(&host).run(options.rate));
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
            restart(&mut redis.nodes()[killed]).await?;
        }
    }
    sleep(Duration::from_secs(options.seconds)).await;
    host.stop();
    inviting.await??;

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
    let recovered = count(&database, recovered).await?;
    let mut report = Report::new(&host.invited(), &letters(&sink)?, failovers);
    report.recovered = recovered;
    report.drained = drained;
    Ok(report)
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
    master.kill();
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
async fn restart(killed: &mut node::Node) -> anyhow::Result<()> {
    killed.restart().await?;
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

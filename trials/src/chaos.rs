//! Hosts, workers and servers under faults, and what came of it.

mod clocks;
mod environment;
pub(crate) mod fault;
mod record;
mod schedule;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::Utc;
use clap::Args;
use guestlist::Database;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use self::environment::{ByHand, Stage};
use self::record::Record;
use self::schedule::{Counts, Schedule};
use crate::evidence::Evidence;
use crate::oracle::{Facts, Tolerance, Verdict};
use crate::postgres::Postgres;
use crate::results;

/// What to try.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What every choice follows from: who is invited, what becomes of it, which fault comes when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many people to invite.
    #[arg(long, default_value_t = 400)]
    invitations: u64,
    /// Over how many minutes invitations and faults are spread.
    #[arg(long, default_value_t = 0.5)]
    minutes: f64,
    /// Worker processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    workers: u16,
    /// Host processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    hosts: u16,
    #[command(flatten)]
    counts: Counts,
    /// No fault but the FLUSHALLs, and easy recipients: nothing may come twice then.
    #[arg(long)]
    flushes_only: bool,
    /// Treat all recipients alike, instead of some of them in ways of their own: refused, greylisted,
    /// answered late or never.
    #[arg(long)]
    easy_recipients: bool,
    /// By how many seconds the clocks of hosts and workers may be wrong. One of each is ahead by as
    /// many, one behind, the others somewhere between.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(clocks::MOST)))]
    clock_skew: u32,
    /// How many seconds the outbox may take to drain after the last fault.
    #[arg(long, default_value_t = 60)]
    drain_seconds: u64,
    /// How many milliseconds after a revocation, acceptance or expiry a letter may still begin, since
    /// no worker can read the database and begin at the same moment.
    #[arg(long, default_value_t = 1000)]
    grace_ms: u64,
    /// Keep databases, logs and journals in this new folder, instead of in a temporary one.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Put the results into this file, as a section of Markdown.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Run this `guestlist` command for workers, instead of the worker this program is built with.
    #[arg(long)]
    guestlist: Option<PathBuf>,
}

/// How often the driver looks at its processes and at the time.
const TICK: Duration = Duration::from_millis(20);

/// How often it says how far it is.
const REPORT: Duration = Duration::from_secs(5);

/// What came of a trial.
struct Report {
    verdict: Verdict,
    by_hand: ByHand,
    /// How long the outbox took to drain after the last fault, if it did.
    drained: Option<Duration>,
    seed: u64,
}

/// Runs the trial. The exit status is 1 where a promise was broken.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<ExitCode> {
    ensure!(
        options.guestlist.is_none() || options.clock_skew == 0,
        "only the worker this program is built with can have its clock wrong"
    );
    if options.flushes_only {
        options.counts = Counts::flushes_only(options.counts.redis_flushes());
        options.easy_recipients = true;
    }
    let evidence = Evidence::at(options.folder.as_deref())?;
    let folder = evidence.folder();
    println!(
        "seed {}: {} invitations, {} hosts, {} workers, {}",
        options.seed, options.invitations, options.hosts, options.workers, options.counts
    );
    let mut stage = Stage::set(folder, &options).await?;
    let drained = play(&mut stage, &options).await?;
    let tolerance = Tolerance::new(
        Duration::from_millis(options.grace_ms),
        Duration::from_secs(options.clock_skew.into()),
    )?;
    Record::new(options.seed, tolerance, stage.incidents()).write(folder)?;
    let facts = Facts::gather(stage.database(), folder, stage.incidents(), tolerance).await?;
    let report = Report {
        verdict: facts.judge(),
        by_hand: stage.by_hand(),
        drained,
        seed: options.seed,
    };
    drop(stage);
    println!("\n{report}");
    if let Some(file) = &options.results {
        let title = format!(
            "{}, seed {}",
            if options.flushes_only {
                "Flushes only"
            } else {
                "Chaos"
            },
            options.seed
        );
        let body = format!("{}\n```text\n{report}\n```", results::circumstances());
        results::put(file, &title, &body)?;
    }
    if let Some(folder) = &options.folder {
        println!("evidence in {}", folder.display());
    }
    Ok(exit(report.is_kept()))
}

/// Judges once more what a trial left behind.
pub(crate) async fn judge(folder: &Path) -> anyhow::Result<ExitCode> {
    let folder = folder
        .canonicalize()
        .with_context(|| folder.display().to_string())?;
    let record = Record::read(&folder)?;
    let postgres = Postgres::again(&folder).await?;
    let database = Database::connect(&postgres.url(), 2).await?;
    let facts = Facts::gather(&database, &folder, &record.incidents, record.tolerance()?).await?;
    let verdict = facts.judge();
    println!("seed {}\n{verdict}", record.seed);
    Ok(exit(verdict.is_kept()))
}

fn exit(is_kept: bool) -> ExitCode {
    if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Report {
    fn is_kept(&self) -> bool {
        self.verdict.is_kept() && self.drained.is_some()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        writeln!(
            f,
            "retried by hand: {} that a recipient's server put off for minutes, {} set aside as dead",
            self.by_hand.put_off, self.by_hand.dead
        )?;
        match self.drained {
            Some(time) => writeln!(
                f,
                "drained {:.1} s after the last fault",
                time.as_secs_f64()
            )?,
            None => writeln!(f, "NOT DRAINED in time after the last fault")?,
        }
        writeln!(f, "{}", self.verdict.counts())?;
        let judgement = if self.is_kept() {
            "every promise was kept"
        } else {
            "A PROMISE WAS BROKEN"
        };
        write!(f, "seed {}: {judgement}", self.seed)
    }
}

/// Plays every fault, waits for the hosts, and says how long the outbox took to drain, if it did.
async fn play(stage: &mut Stage, options: &Options) -> anyhow::Result<Option<Duration>> {
    let random = StdRng::seed_from_u64(options.seed);
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let mut schedule = Schedule::new(random, length, &options.counts);
    let (since, mut reported) = (Instant::now(), Instant::now());
    while !(schedule.is_over() && stage.hosts_are_done()) {
        while let Some(step) = schedule.due(since.elapsed()) {
            if let Some((after, next)) = stage.take(step, &mut schedule).await? {
                schedule.later(since.elapsed() + after, next);
            }
        }
        stage.tend().await?;
        if reported.elapsed() > REPORT {
            reported = Instant::now();
            report(stage, since).await;
        }
        sleep(TICK).await;
    }
    stage.restore().await?;
    let since_last_fault = Instant::now();
    println!(
        "{:>5.0} s  every fault is over, the hosts are done",
        since.elapsed().as_secs_f64()
    );
    let patience = Duration::from_secs(options.drain_seconds);
    while since_last_fault.elapsed() < patience {
        if stage.waiting().await? == 0 {
            return Ok(Some(since_last_fault.elapsed()));
        }
        stage.tend().await?;
        stage.operate().await?;
        if reported.elapsed() > REPORT {
            reported = Instant::now();
            report(stage, since).await;
        }
        sleep(TICK * 10).await;
    }
    Ok(None)
}

async fn report(stage: &Stage, since: Instant) {
    let waiting = stage.waiting().await;
    let waiting = waiting.map_or_else(|_| "?".to_owned(), |count| count.to_string());
    println!(
        "{:>5.0} s  {} faults, {waiting} in the outbox  ({})",
        since.elapsed().as_secs_f64(),
        stage.incidents().len(),
        Utc::now().format("%H:%M:%S"),
    );
}

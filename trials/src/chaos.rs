//! Hosts, workers and servers under faults, and what came of it.

pub(crate) mod fault;
mod schedule;
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use self::schedule::{Counts, Schedule};
use self::stage::Stage;
use crate::oracle;

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
    /// Run this `guestlist` command for workers, instead of the worker this program is built with.
    #[arg(long)]
    guestlist: Option<PathBuf>,
}

/// How often the driver looks at its processes and at the time.
const TICK: Duration = Duration::from_millis(20);

/// How often it says how far it is.
const REPORT: Duration = Duration::from_secs(5);

/// Runs the trial. The exit status is 1 where a promise was broken.
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
    println!(
        "seed {}: {} invitations, {} hosts, {} workers, {}",
        options.seed, options.invitations, options.hosts, options.workers, options.counts
    );
    let mut stage = Stage::set(folder, &options).await?;
    let drained = play(&mut stage, &options).await?;
    let grace = Duration::from_millis(options.grace_ms);
    let by_hand = stage.by_hand();
    let facts = oracle::Facts::gather(stage.database(), folder, stage.incidents(), grace).await?;
    let verdict = facts.judge();
    let incidents = serde_json::to_vec_pretty(stage.incidents())?;
    std::fs::write(folder.join("incidents.json"), incidents)?;
    drop(stage);
    println!("\n{verdict}");
    println!(
        "retried by hand: {} that a recipient's server put off for minutes, {} set aside as dead",
        by_hand.put_off, by_hand.dead
    );
    match drained {
        Some(time) => println!("drained {:.1} s after the last fault", time.as_secs_f64()),
        None => println!(
            "NOT DRAINED {} s after the last fault",
            options.drain_seconds
        ),
    }
    let is_kept = verdict.is_kept() && drained.is_some();
    println!(
        "seed {}: {}",
        options.seed,
        if is_kept {
            "every promise was kept"
        } else {
            "A PROMISE WAS BROKEN"
        }
    );
    if let Some(folder) = &options.folder {
        println!("evidence in {}", folder.display());
    }
    Ok(if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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

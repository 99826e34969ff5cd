//! Runs hosts and workers while faults hit them and their servers, then judges the outcome.

mod clocks;
mod environment;
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

use self::environment::{Environment, ManualRetries};
use self::record::TrialRecord;
use self::schedule::{Counts, Schedule};
use crate::evidence::Evidence;
use crate::oracle::{Observations, Tolerance, Verdict};
use crate::postgres;
use crate::results;

/// The size of a trial, its faults and its output.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Seed of every random choice: the invitees, what happens to each invitation, and which fault
    /// comes when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of people to invite.
    #[arg(long, default_value_t = 400)]
    invitations: u64,
    /// Number of minutes over which invitations and faults are spread.
    #[arg(long, default_value_t = 0.5)]
    minutes: f64,
    /// Number of worker processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    workers: u16,
    /// Number of host processes: programs that invite through the library.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    hosts: u16,
    #[command(flatten)]
    counts: Counts,
    /// Cause no fault but FLUSHALL, and treat all recipients alike. No letter may arrive twice then.
    #[arg(long)]
    flushes_only: bool,
    /// Accept letters to every recipient at once. Without this option the mail server refuses
    /// some recipients, greylists others, and answers others late or never.
    #[arg(long)]
    easy_recipients: bool,
    /// Largest error of the clocks of hosts and workers, in seconds. One host and one worker are ahead
    /// by this much, one of each is behind by this much, the others are somewhere between.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(clocks::MAX_SKEW_SECONDS)))]
    clock_skew: u32,
    /// Time-out for the outbox to drain after the last fault, in seconds.
    #[arg(long, default_value_t = 60)]
    drain_seconds: u64,
    /// Grace period in milliseconds during which a worker may still begin a letter after the
    /// invitation was revoked, accepted or expired. A worker first reads the database and then begins.
    #[arg(long, default_value_t = 1000)]
    grace_ms: u64,
    /// Keep databases, logs and journals in this folder, which must not exist yet. Without this option
    /// they are in a temporary folder.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Write the results into this Markdown file, as a section that replaces the one of an earlier
    /// run with the same title.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Run this `guestlist` command as the worker. Without this option the worker is the one built into
    /// this program.
    #[arg(long)]
    guestlist: Option<PathBuf>,
}

/// Pause between two checks of the schedule and of the processes.
const TICK: Duration = Duration::from_millis(20);

/// Time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The outcome of a trial.
struct Report {
    verdict: Verdict,
    manual_retries: ManualRetries,
    /// Time from the last fault until the outbox was empty; `None` if it never was.
    drained: Option<Duration>,
    seed: u64,
}

/// Runs the trial. The exit status is 1 if a promise was broken.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<ExitCode> {
    ensure!(
        options.guestlist.is_none() || options.clock_skew == 0,
        "--clock-skew cannot be combined with --guestlist: only the built-in worker can run with a wrong clock"
    );
    if options.flushes_only {
        options.counts = Counts::flushes_only(options.counts.redis_flushes());
        options.easy_recipients = true;
    }
    let evidence = Evidence::create(options.folder.as_deref())?;
    let folder = evidence.folder();
    println!(
        "seed {}: {} invitations, {} hosts, {} workers, {}",
        options.seed, options.invitations, options.hosts, options.workers, options.counts
    );
    let mut environment = Environment::start(folder, &options).await?;
    let drained = run_schedule(&mut environment, &options).await?;
    let tolerance = Tolerance::new(
        Duration::from_millis(options.grace_ms),
        Duration::from_secs(options.clock_skew.into()),
    )?;
    TrialRecord::new(options.seed, tolerance, environment.incidents()).write(folder)?;
    let observations = Observations::gather(
        environment.database(),
        folder,
        environment.incidents(),
        tolerance,
    )
    .await?;
    let report = Report {
        verdict: observations.judge(),
        manual_retries: environment.manual_retries(),
        drained,
        seed: options.seed,
    };
    drop(environment);
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
        results::write_section(file, &title, &body)?;
    }
    if let Some(folder) = &options.folder {
        println!("evidence in {}", folder.display());
    }
    Ok(exit(report.is_kept()))
}

/// Judges a trial again from the evidence in its folder.
pub(crate) async fn judge(folder: &Path) -> anyhow::Result<ExitCode> {
    let folder = folder
        .canonicalize()
        .with_context(|| folder.display().to_string())?;
    let record = TrialRecord::read(&folder)?;
    let postgres = postgres::start(&folder).await?;
    let database = Database::connect(&postgres.url(), 2).await?;
    let observations =
        Observations::gather(&database, &folder, &record.incidents, record.tolerance()?).await?;
    let verdict = observations.judge();
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
            "retried by hand: {} deferred for minutes by the recipient's server, {} dead",
            self.manual_retries.deferred, self.manual_retries.dead
        )?;
        match self.drained {
            Some(time) => writeln!(
                f,
                "drained {:.1} s after the last fault",
                time.as_secs_f64()
            )?,
            None => writeln!(f, "NOT DRAINED before the time-out")?,
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

/// Runs the schedule of faults and waits for the hosts. Returns how long the outbox then took to
/// drain, or `None` after the time-out.
async fn run_schedule(
    environment: &mut Environment,
    options: &Options,
) -> anyhow::Result<Option<Duration>> {
    let random = StdRng::seed_from_u64(options.seed);
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let mut schedule = Schedule::new(random, length, &options.counts);
    let (since, mut reported) = (Instant::now(), Instant::now());
    while !(schedule.is_over() && environment.hosts_are_done()) {
        while let Some(step) = schedule.due(since.elapsed()) {
            if let Some((after, next)) = environment.perform(step, &mut schedule).await? {
                schedule.add(since.elapsed() + after, next);
            }
        }
        environment.restart_exited().await?;
        if reported.elapsed() > PROGRESS_INTERVAL {
            reported = Instant::now();
            print_progress(environment, since).await;
        }
        sleep(TICK).await;
    }
    environment.end_faults().await?;
    let since_last_fault = Instant::now();
    println!(
        "{:>5.0} s  all faults are over and all hosts have finished",
        since.elapsed().as_secs_f64()
    );
    let drain_timeout = Duration::from_secs(options.drain_seconds);
    while since_last_fault.elapsed() < drain_timeout {
        if environment.outbox_size().await? == 0 {
            return Ok(Some(since_last_fault.elapsed()));
        }
        environment.restart_exited().await?;
        environment.retry_manually().await?;
        if reported.elapsed() > PROGRESS_INTERVAL {
            reported = Instant::now();
            print_progress(environment, since).await;
        }
        sleep(TICK * 10).await;
    }
    Ok(None)
}

async fn print_progress(environment: &Environment, since: Instant) {
    let waiting = environment.outbox_size().await;
    let waiting = waiting.map_or_else(|_| "?".to_owned(), |count| count.to_string());
    println!(
        "{:>5.0} s  {} faults, {waiting} in the outbox  ({})",
        since.elapsed().as_secs_f64(),
        environment.incidents().len(),
        Utc::now().format("%H:%M:%S"),
    );
}

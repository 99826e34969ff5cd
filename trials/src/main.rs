//! Trials of Guestlist: fault injection and benchmarks.

mod bench;
mod chaos;
mod evidence;
mod failover;
mod fault;
mod host;
mod oracle;
mod postgres;
mod proc_field;
mod replies;
mod results;
mod sink;
mod steps;
mod worker;

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::{Parser, Subcommand};
use guestlist_jobs::config::Config;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use self::sink::Sink;

/// Trials of Guestlist, a library for team invitations: inject faults, account for every letter, and measure
/// the speed.
///
/// A letter is an email that the library owes someone, mostly an invitation. A host is an application that
/// invites people through the library; a worker is a process that sends the letters. A trial runs on this
/// machine only. It starts its own hosts and workers, and its own Postgres, Redis and mail server on free
/// ports. It stops and removes all of them at its end, also on Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "trials", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Invite people while faults hit processes and servers, and account for every letter.
    ///
    /// Host processes invite, resend, revoke, accept and remove at random, workers send the letters, and a
    /// schedule injects faults. The seed decides all of it except the timing of the processes. At the
    /// end, every message that was in the outbox is compared with the log of the mail server. The exit
    /// status is 1 if a letter was lost, was sent although it was obsolete, was sent twice with different
    /// bytes or without a fault that explains it, or if the outbox did not drain.
    #[command(
        after_help = "Needs initdb and postgres (15 or later), redis-server and setpriv.\n\nExamples:\n  trials chaos\n  trials chaos --seed 7 --invitations 10000 --minutes 15 --worker-kills 200 --postgres-stops 20 --redis-restarts 20 --redis-flushes 20 --worker-stops 50 --smtp-faults 40\n  trials chaos --flushes-only --redis-flushes 20\n  trials chaos --folder evidence && trials judge evidence"
    )]
    Chaos(Box<chaos::Options>),
    /// Judge an earlier chaos trial again from the evidence in its folder.
    ///
    /// It prints the same counts as the trial did. The exit status is the same, except that messages left in
    /// the outbox do not make it 1.
    Judge {
        /// Folder written by `trials chaos --folder`.
        folder: std::path::PathBuf,
    },
    /// Make a worker fail once at each step of sending a letter, and count the duplicates.
    ///
    /// Each of the nine steps, from the lease of a message to its settling, is tried with a kill, an
    /// error, a panic and a pause longer than the lease. Each case has its own database. After a kill or
    /// a pause, a second worker continues. The exit status is 1 if a letter was lost, or if a letter was
    /// sent twice except where the fault hit between the mail server's 250 and the commit.
    #[command(
        after_help = "Needs a build with fail points, initdb and postgres (15 or later), redis-server and setpriv.\n\nExamples:\n  cargo run -p trials --features failpoints -- steps\n  cargo run -p trials --features failpoints -- steps --step settle"
    )]
    Steps(steps::Options),
    /// Measure the speed, and compare it with what Postgres, Redis and the mail server can do at best.
    ///
    /// Every subject is measured several times. The table shows the median, the lowest and the highest
    /// value, a reference value measured in the same run, the target, and whether it is met. A
    /// missed target is not a failure: the exit status is 0 unless a subject could not be measured or a
    /// letter did not arrive. The noise of the machine is measured throughout. Progress goes to stderr,
    /// the table to stdout.
    #[command(
        after_help = "Needs initdb, postgres and pgbench (15 or later), redis-server, smtp-sink and smtp-source (Postfix) and setpriv;\nthe subject redis also needs redis-benchmark.\n\nExamples:\n  cargo run --release -p trials -- bench\n  cargo run --release -p trials -- bench --only invite drain\n  cargo run --release -p trials -- bench --size full --json bench.json --results trials/RESULTS.md"
    )]
    Bench(Box<bench::Options>),
    /// Kill the Redis master while it holds work, and count the letters of each recipient.
    ///
    /// A host invites without pause and workers send letters while the Redis server that holds the queue
    /// is killed and a replica is promoted. The exit status is 1 unless every recipient got exactly one
    /// letter.
    #[command(
        after_help = "Needs initdb and postgres (15 or later), redis-server, redis-cli and setpriv.\n\nExamples:\n  trials failover sentinel\n  trials failover cluster --failovers 5"
    )]
    Failover(failover::Options),
    /// Run only the mail server of the trials, until Ctrl-C.
    ///
    /// It speaks SMTP with STARTTLS and AUTH on a loopback port and appends a line to sink.jsonl for every
    /// letter that it accepts: recipient, Message-ID, SHA-256 and times.
    Sink {
        /// Folder for its log and its certificate.
        #[arg(long, default_value = ".")]
        folder: std::path::PathBuf,
        /// Port to listen on; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Run a host process of a trial.
    #[command(hide = true)]
    Host(Box<host::Options>),
    /// Run a worker process of a trial, as `guestlist work` does.
    #[command(hide = true)]
    Work {
        /// Error of its clock in milliseconds.
        #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
        clock_skew_ms: i64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Judge { folder } => run_until_signal(chaos::judge(&folder)).await,
        Command::Chaos(options) => run_until_signal(chaos::run(*options)).await,
        Command::Steps(options) => run_until_signal(steps::run(options)).await,
        Command::Bench(options) => run_until_signal(bench::run(*options)).await,
        Command::Failover(options) => run_until_signal(failover::run(options)).await,
        Command::Sink { folder, port } => run_until_signal(serve(&folder, port)).await,
        Command::Host(options) => host::run(*options).await.map(|()| ExitCode::SUCCESS),
        Command::Work { clock_skew_ms } => {
            let config = Config::from_env()?;
            let filter = EnvFilter::new("info,apalis=off,apalis_core=off,apalis_redis=off");
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .init();
            worker::run(&config, TimeDelta::milliseconds(clock_skew_ms)).await
        }
    }
}

async fn serve(folder: &std::path::Path, port: u16) -> anyhow::Result<ExitCode> {
    let sink = Sink::start(folder, port).await?;
    println!("SMTP_URL={}\nlog: {}", sink.url("me"), sink.log().display());
    std::future::pending().await
}

/// Runs a trial until its end or until a signal. Dropping the future ends the processes it started.
async fn run_until_signal(
    trial: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = trial => ended,
        _ = terminate.recv() => Ok(stopped()),
        _ = interrupt.recv() => Ok(stopped()),
    }
}

fn stopped() -> ExitCode {
    eprintln!("stopped; all servers and processes were ended, temporary folders removed");
    ExitCode::from(130)
}

//! Trials of Guestlist under faults.

mod bench;
mod chaos;
mod evidence;
mod failover;
mod host;
mod oracle;
mod port;
mod postgres;
mod process;
mod redis_server;
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

/// Trials of Guestlist: kill, stop and flush what it runs on, and count what became of every letter.
///
/// Everything runs on this machine: Postgres, Redis and a mail server of its own on free ports, hosts
/// and workers. It ends by itself, also on Ctrl-C, and leaves nothing behind.
#[derive(Debug, Parser)]
#[command(name = "trials", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Invite people while everything fails in turn, and account for every letter.
    ///
    /// Hosts invite, resend, revoke, accept and remove at random, workers mail, and faults come on a
    /// schedule; all of it follows from the seed, but for the timing of the processes. In the end every
    /// promise in the database is held against the log of the mail server. The exit status is 1 if a
    /// letter was lost, sent for what was over, sent twice with other bytes or without a fault that
    /// explains it, or if the outbox did not drain.
    #[command(
        after_help = "Needs initdb and postgres (15 or later), redis-server and setpriv.\n\nExamples:\n  trials chaos\n  trials chaos --seed 7 --invitations 10000 --minutes 15 --worker-kills 200 --postgres-stops 20 --redis-restarts 20 --redis-flushes 20 --worker-stops 50 --smtp-faults 40\n  trials chaos --flushes-only --redis-flushes 20\n  trials chaos --folder evidence && trials judge evidence"
    )]
    Chaos(Box<chaos::Options>),
    /// Judge a trial again, by the evidence in the folder that it was told to keep.
    Judge {
        /// The folder that `trials chaos --folder` made.
        folder: std::path::PathBuf,
    },
    /// Have a worker fail once at each step between lease and settle, and count what comes twice.
    ///
    /// Each of the nine steps is tried with a kill, with an error, with a panic and with a pause longer
    /// than the lease, each on a database of its own; after a kill or a pause a healthy worker goes on.
    /// The exit status is 1 if a letter was lost, or if one came twice that was not between the mail
    /// server's 250 and the commit.
    #[command(
        after_help = "Needs a build with fail points, initdb and postgres (15 or later), redis-server and setpriv.\n\nExamples:\n  cargo run -p trials --features failpoints -- steps\n  cargo run -p trials --features failpoints -- steps --step settle"
    )]
    Steps(steps::Options),
    /// Measure how fast it is, beside what Postgres, Redis and the mail server can do at best.
    ///
    /// Every subject is measured several times; the table shows the median and the lowest and highest
    /// of each, the limit measured in the same run, the bar, and whether it is met. A missed bar is no
    /// failure: the exit status is 0 unless something did not work, or a letter did not arrive. The
    /// noise of the machine is measured through the run. Progress goes to stderr, the table to stdout.
    #[command(
        after_help = "Needs initdb, postgres and pgbench (15 or later), redis-server, smtp-sink and smtp-source (Postfix) and setpriv;\nredis-benchmark too for the subject redis.\n\nExamples:\n  cargo run --release -p trials -- bench\n  cargo run --release -p trials -- bench --only invite drain\n  cargo run --release -p trials -- bench --size full --json bench.json --results trials/RESULTS.md"
    )]
    Bench(Box<bench::Options>),
    /// Kill the master of Redis amid the work, and count everybody's letters.
    ///
    /// A host invites without pause, workers mail, the server that holds the queue is killed, and
    /// another takes over. The exit status is 1 unless everybody got exactly one letter.
    #[command(
        after_help = "Needs initdb and postgres (15 or later), redis-server, redis-cli and setpriv.\n\nExamples:\n  trials failover sentinel\n  trials failover cluster --failovers 5"
    )]
    Failover(failover::Options),
    /// Run the mail server of the trials alone, until Ctrl-C.
    ///
    /// It speaks SMTP with STARTTLS and AUTH on a loopback port and appends every letter that it
    /// accepts to sink.jsonl: recipient, Message-ID, SHA-256, times.
    Sink {
        /// Where its log and its certificate go.
        #[arg(long, default_value = ".")]
        folder: std::path::PathBuf,
        /// Its port; a free one if it is 0.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// What a host process of a trial runs.
    #[command(hide = true)]
    Host(Box<host::Options>),
    /// What a worker process of a trial runs: the same as `guestlist work`.
    #[command(hide = true)]
    Work {
        /// By how much its clock is wrong.
        #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
        clock_off_ms: i64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Judge { folder } => unless_stopped(chaos::judge(&folder)).await,
        Command::Chaos(options) => unless_stopped(chaos::run(*options)).await,
        Command::Steps(options) => unless_stopped(steps::run(options)).await,
        Command::Bench(options) => unless_stopped(bench::run(*options)).await,
        Command::Failover(options) => unless_stopped(failover::run(options)).await,
        Command::Sink { folder, port } => unless_stopped(serve(&folder, port)).await,
        Command::Host(options) => host::run(*options).await.map(|()| ExitCode::SUCCESS),
        Command::Work { clock_off_ms } => {
            let config = Config::from_env()?;
            let filter = EnvFilter::new("info,apalis=off,apalis_core=off,apalis_redis=off");
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .init();
            worker::run(&config, TimeDelta::milliseconds(clock_off_ms)).await
        }
    }
}

async fn serve(folder: &std::path::Path, port: u16) -> anyhow::Result<ExitCode> {
    let sink = Sink::start(folder, port).await?;
    println!("SMTP_URL={}\nlog: {}", sink.url("me"), sink.log().display());
    std::future::pending().await
}

/// Runs until the end or until a signal. What was started ends with the future that holds it.
async fn unless_stopped(
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
    eprintln!("stopped; everything was ended and removed");
    ExitCode::from(130)
}

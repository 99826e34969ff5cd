//! Trials of Guestlist under faults.

mod chaos;
mod host;
mod oracle;
mod port;
mod postgres;
mod process;
mod redis_server;
mod sink;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use guestlist_jobs::config::Config;
use guestlist_jobs::work;
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
        after_help = "Needs initdb and postgres (15 or later), redis-server and setpriv.\n\nExamples:\n  trials chaos\n  trials chaos --seed 7 --invitations 10000 --minutes 15 --worker-kills 200 --postgres-stops 20 --redis-restarts 20 --redis-flushes 20 --worker-stops 50 --smtp-faults 40\n  trials chaos --folder evidence"
    )]
    Chaos(Box<chaos::Options>),
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
    Work,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Chaos(options) => unless_stopped(chaos::run(*options)).await,
        Command::Sink { folder, port } => unless_stopped(serve(&folder, port)).await,
        Command::Host(options) => host::run(*options).await.map(|()| ExitCode::SUCCESS),
        Command::Work => {
            let config = Config::from_env()?;
            let filter = EnvFilter::new("info,apalis=off,apalis_core=off,apalis_redis=off");
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .init();
            work::run(&config, false, None).await
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

//! A worker process of a trial.

use std::path::Path;
use std::process::{Command, ExitCode};

use chrono::TimeDelta;
use guestlist::{Clock, Guestlist};
use guestlist_jobs::config::Config;
use guestlist_jobs::{Worker, work};
use guestlist_testkit::process::child_command;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The URLs and keys that a worker needs.
pub(crate) struct Servers<'a> {
    pub(crate) database: &'a str,
    pub(crate) redis: &'a str,
    /// Contains the user name that the mail server logs for this worker.
    pub(crate) smtp: &'a str,
    pub(crate) keys: &'a str,
}

/// Returns the command of a worker with no other environment. `program` has a subcommand `work`.
pub(crate) fn command(program: &Path, servers: &Servers<'_>) -> Command {
    let mut command = child_command(program, "KILL");
    command
        .arg("work")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("DATABASE_URL", servers.database)
        .env("REDIS_URL", servers.redis)
        .env("SMTP_URL", servers.smtp)
        .env("GUESTLIST_KEYS", servers.keys)
        .env("GUESTLIST_FROM", "Acme <team@acme.example>")
        .env("GUESTLIST_REMINDER", "off");
    command
}

/// Runs a worker until SIGTERM, with a clock that is wrong by `skew`.
pub(crate) async fn run(config: &Config, skew: TimeDelta) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stopper.cancel();
    });
    if skew.is_zero() {
        work::run(config, false, None, stop).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let database = config
        .open(u32::try_from(config.concurrency)?.saturating_add(8))
        .await?;
    let installation = guestlist::worker::installation(&mut database.acquire().await?).await?;
    let mut context = work::context(config, &database)?;
    context.guestlist = Guestlist::builder()
        .role_model(config.role_model.clone())
        .lifetime(config.ttl)
        .key_ring(config.keys.load()?)
        .audience(&config.audience)
        .limits(config.limits.clone())
        .seats(config.seats)
        .clock(Clock::Shifted(skew))
        .build();
    let queue = work::queue(config, installation);
    let worker = Worker::new(context, queue, work::settings(config));
    worker.run(stop).await;
    Ok(ExitCode::SUCCESS)
}

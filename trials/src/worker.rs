//! A worker process of a trial.

use std::path::Path;
use std::process::{Command, ExitCode};

use chrono::TimeDelta;
use guestlist::{Clock, Guestlist};
use guestlist_jobs::config::Config;
use guestlist_jobs::{Worker, work};
use tokio_util::sync::CancellationToken;

use crate::process::tied;

/// What a worker is to know of the servers.
pub(crate) struct Servers<'a> {
    pub(crate) database: &'a str,
    pub(crate) redis: &'a str,
    /// With the name that the mail server knows the worker by.
    pub(crate) smtp: &'a str,
    pub(crate) keys: &'a str,
}

/// A worker that knows of nothing else, run by `program`, which has a subcommand `work`.
pub(crate) fn command(program: &Path, servers: &Servers<'_>) -> Command {
    let mut command = tied(program, "KILL");
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

/// What `guestlist work` does, by a clock that is wrong by `off`.
pub(crate) async fn run(config: &Config, off: TimeDelta) -> anyhow::Result<ExitCode> {
    if off.is_zero() {
        return work::run(config, false, None).await;
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
        .clock(Clock::Shifted(off))
        .build();
    let queue = work::queue(config, installation)?;
    let worker = Worker::new(context, queue, work::settings(config));
    // It is killed when it is not needed any more.
    worker.run(CancellationToken::new()).await;
    Ok(ExitCode::SUCCESS)
}

//! The worker as configured by the environment, from start to end.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use guestlist::{Database, worker};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::config::{Config, SessionStoreConfig};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::letters::{Letters, Mailbox};
use crate::mailer::{Deadlines, Mailer};
use crate::queue::{DEFAULT_PREFIX, Queue};
use crate::sessions::{RedisSessions, SessionStore, SqlSessions};
use crate::worker::{Settings, Worker};

/// The time for closing the database connections at the end.
const LEAVE: std::time::Duration = std::time::Duration::from_secs(1);

/// Database connections in addition to those of letters in progress: for the relay, the scheduler,
/// the lease renewal, the settler and the purges.
const OTHER_CONNECTIONS: usize = 8;

/// Runs relay, queue and all jobs until SIGTERM or SIGINT, or until nothing is due.
///
/// The first signal lets running jobs finish. A second one ends the process at once; jobs that were
/// interrupted run again when their lease ends. The endpoint answers until the last job is
/// recorded.
///
/// # Errors
/// Anything that prevents the worker from starting. Once started it continues through failures of the database, Redis and the mail server.
pub async fn run(
    config: &Config,
    until_idle: bool,
    endpoint: Option<Endpoint>,
) -> anyhow::Result<ExitCode> {
    let database = config.open(connections(config)).await?;
    let installation = worker::installation(&mut database.acquire().await?).await?;
    let worker = Worker::new(
        context(config, &database)?,
        queue(config, installation)?,
        settings(config),
    );
    let monitor = worker.monitor();
    let _served =
        endpoint.map(|endpoint| AbortOnDropHandle::new(tokio::spawn(endpoint.serve(monitor))));
    let stop = CancellationToken::new();
    let signals = tokio::spawn(stop_by_signal(stop.clone())?);
    let drained = if until_idle {
        worker.run_until_idle(stop).await?
    } else {
        worker.run(stop).await
    };
    signals.abort();
    match drained.abandoned {
        0 => info!("stopped"),
        jobs => warn!(
            jobs,
            "stopped; {jobs} jobs were interrupted and will run again"
        ),
    }
    // A dead connection that the kernel has not noticed would delay the end for long.
    let _ = tokio::time::timeout(LEAVE, database.close()).await;
    Ok(ExitCode::SUCCESS)
}

fn connections(config: &Config) -> u32 {
    u32::try_from(config.concurrency + OTHER_CONNECTIONS).unwrap_or(u32::MAX)
}

/// Returns the settings of the worker.
pub fn settings(config: &Config) -> Settings {
    Settings {
        letters: config.concurrency,
        drain: config.drain,
        reminder: config.reminder,
        retention: config.retention,
    }
}

/// Creates the queue of an installation: Redis if it is configured, else inside this process.
/// Several installations may share a Redis, because each has keys of its own.
///
/// # Errors
/// `REDIS_URL` is not valid.
pub fn queue(config: &Config, installation: Uuid) -> anyhow::Result<Queue> {
    let queue = match &config.redis_url {
        Some(url) => {
            let prefix = format!("{DEFAULT_PREFIX}-{}", installation.simple());
            Queue::redis(url, &prefix).context("REDIS_URL")?
        }
        None => Queue::memory(),
    };
    Ok(match config.smtp_rate {
        Some(rate) => queue.paced(rate),
        None => queue,
    })
}

/// Creates the dependencies of the jobs. Overridden letters that cannot be used are logged and left
/// out.
///
/// # Errors
/// There is no key, the folder of letters does not exist, or a session store is not valid.
pub fn context(config: &Config, database: &Database) -> anyhow::Result<Context> {
    let key_ring = config.keys.load()?;
    let link = config.link.clone();
    Ok(Context {
        database: database.clone(),
        guestlist: config.guestlist(key_ring),
        letters: letters(config)?,
        mailer: Mailer::new(
            config.mailer.clone(),
            config.concurrency,
            Deadlines::default(),
        ),
        from: Mailbox {
            name: config.from.name.clone(),
            address: config.from.address.to_string(),
        },
        link: Arc::new(move |token| link.with(token)),
        sessions: sessions(config, database)?,
    })
}

fn letters(config: &Config) -> anyhow::Result<Letters> {
    let Some(folder) = &config.templates else {
        return Ok(Letters::built_in());
    };
    let (letters, alerts) = Letters::with_overrides(folder).context("GUESTLIST_TEMPLATES")?;
    for alert in alerts {
        error!(
            file = alert.file,
            "the built-in letter is used instead of {}/{alert}",
            folder.display()
        );
    }
    Ok(letters)
}

/// Creates the stores that sessions are purged from.
///
/// # Errors
/// The URL of a store is not valid.
pub fn sessions(
    config: &Config,
    database: &Database,
) -> anyhow::Result<Vec<Arc<dyn SessionStore>>> {
    let open = |store: &SessionStoreConfig| -> anyhow::Result<Arc<dyn SessionStore>> {
        Ok(match store {
            SessionStoreConfig::Redis { url, pattern } => {
                Arc::new(RedisSessions::new(url, pattern.clone())?)
            }
            SessionStoreConfig::Sql { column } => {
                Arc::new(SqlSessions::new(database.clone(), column))
            }
        })
    };
    config
        .sessions
        .iter()
        .map(open)
        .collect::<Result<_, _>>()
        .context("GUESTLIST_SESSIONS")
}

/// Registers the signal handlers at once, so that no signal is missed; the first signal stops the
/// worker.
fn stop_by_signal(
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        next(&mut terminate, &mut interrupt).await;
        info!(
            "stopping; running jobs are finished first, a second signal ends the process at once"
        );
        stop.cancel();
        next(&mut terminate, &mut interrupt).await;
        warn!("ended at once; interrupted jobs will run again");
        std::process::exit(1);
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

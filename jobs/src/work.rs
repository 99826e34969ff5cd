//! The worker as the environment configures it, from its start to its end.

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

/// How long the database may take to see the worker off.
const LEAVE: std::time::Duration = std::time::Duration::from_secs(1);

/// Connections to the database beside those of letters at work: the relay's, the scheduler's, the
/// renewal's, the settler's and the purges'.
const OTHER_CONNECTIONS: usize = 8;

/// Runs relay, queue and all jobs until SIGTERM or SIGINT, or until nothing is due.
///
/// The first signal lets running jobs finish; a second ends the process at once, and what was cut
/// off is done again when its lease ends. The endpoint answers until the last job is recorded.
///
/// # Errors
/// What keeps the worker from starting. Once started it works on through every failure around it.
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
            "stopped; {jobs} jobs were cut off and will be done again"
        ),
    }
    // A connection that is dead and does not know it would hold up the end for long.
    let _ = tokio::time::timeout(LEAVE, database.close()).await;
    Ok(ExitCode::SUCCESS)
}

fn connections(config: &Config) -> u32 {
    u32::try_from(config.concurrency + OTHER_CONNECTIONS).unwrap_or(u32::MAX)
}

/// How the worker works.
pub fn settings(config: &Config) -> Settings {
    Settings {
        letters: config.concurrency,
        drain: config.drain,
        reminder: config.reminder,
        retention: config.retention,
    }
}

/// The queue of an installation: Redis where it is configured, else inside this process. Several
/// installations may share a Redis, for each has keys of its own.
///
/// # Errors
/// When `REDIS_URL` is not one.
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

/// The tools of the jobs. Overridden letters that cannot be used are told and left out.
///
/// # Errors
/// Without a key, without the folder of letters, or with a session store that is none.
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

/// The stores that sessions are purged from.
///
/// # Errors
/// When a store's URL is none.
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

/// Listens at once, so that no signal is missed, and stops the worker at the first.
fn stop_by_signal(
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        next(&mut terminate, &mut interrupt).await;
        info!("stopping; what runs is finished, and a second signal ends it at once");
        stop.cancel();
        next(&mut terminate, &mut interrupt).await;
        warn!("ended at once; what was cut off will be done again");
        std::process::exit(1);
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

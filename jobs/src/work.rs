//! A worker made from a [`Config`].

use std::sync::Arc;
use std::time::Duration;

use guestlist::{Database, worker};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::error;
use uuid::Uuid;

use crate::config::{Config, DatabaseError, KeysError, SessionStoreConfig};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::letters::{FolderError, Letters};
use crate::mailer::{Mailer, MailerSettings};
use crate::queue::{DEFAULT_PREFIX, Drained, Queue};
use crate::sessions::{RedisSessions, SessionStore, SqlSessions};
use crate::worker::{Settings, Worker};

/// The time the database may take to close its connections when the worker ends.
const DATABASE_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections to the database beside those of letters being sent: the relay's, the scheduler's, the
/// renewal's, the settler's and the purges'.
const OTHER_CONNECTIONS: usize = 8;

/// The reason why a worker could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The database cannot be opened, or has other tables than this version needs.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The database was opened and did not answer a query.
    #[error(transparent)]
    Library(#[from] guestlist::Error),
    /// There is no key ring.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The folder of overridden templates cannot be read.
    #[error("GUESTLIST_TEMPLATES: {0}")]
    Templates(FolderError),
}

/// Runs a worker until `stop` is cancelled, or, with `until_idle`, until no message is due.
///
/// When `stop` is cancelled, running jobs may finish within [`Config::drain`]. The endpoint answers
/// until the last job is recorded.
///
/// # Errors
/// [`WorkError`] if the worker cannot start. A failure that comes later is retried and does not end
/// the worker.
pub async fn run(
    config: &Config,
    until_idle: bool,
    endpoint: Option<Endpoint>,
    stop: CancellationToken,
) -> Result<Drained, WorkError> {
    let database = config.open(connections(config)).await?;
    let installation = worker::installation(&mut database.acquire().await?).await?;
    let worker = Worker::new(
        context(config, &database)?,
        queue(config, installation),
        settings(config),
    );
    let monitor = worker.monitor();
    let _served =
        endpoint.map(|endpoint| AbortOnDropHandle::new(tokio::spawn(endpoint.serve(monitor))));
    let drained = if until_idle {
        worker.run_until_idle(stop).await?
    } else {
        worker.run(stop).await
    };
    // Closing waits for every connection, and one that lost its server may not answer for minutes.
    let _ = tokio::time::timeout(DATABASE_CLOSE_TIMEOUT, database.close()).await;
    Ok(drained)
}

fn connections(config: &Config) -> u32 {
    u32::try_from(config.concurrency + OTHER_CONNECTIONS).unwrap_or(u32::MAX)
}

/// Returns the settings of a worker.
pub fn settings(config: &Config) -> Settings {
    Settings {
        letters: config.concurrency,
        drain: config.drain,
        reminder: config.reminder,
        retention: config.retention,
        attempt_log: config.attempt_log,
        rate: config.smtp_rate,
    }
}

/// Returns the queue of an installation: on Redis if one is configured, in memory if not. Several
/// installations may share a Redis, because each uses keys of its own.
pub fn queue(config: &Config, installation: Uuid) -> Queue {
    match &config.redis_url {
        Some(url) => Queue::redis(url, &format!("{DEFAULT_PREFIX}-{}", installation.simple())),
        None => Queue::memory(),
    }
}

/// Returns what the jobs work with. An overridden template that cannot be used is logged, and the
/// built-in one is used instead.
///
/// # Errors
/// [`WorkError::Keys`] without a key ring, [`WorkError::Templates`] if the folder of templates cannot
/// be read.
pub fn context(config: &Config, database: &Database) -> Result<Context, WorkError> {
    let key_ring = config.keys.load()?;
    let link = config.link.clone();
    Ok(Context {
        database: database.clone(),
        guestlist: config.guestlist(key_ring),
        letters: letters(config)?,
        mailer: Mailer::new(config.mailer.clone(), mailer_settings(config)),
        from: config.from.clone(),
        envelope_from: config.envelope_from.clone(),
        reply_to: config.reply_to.clone(),
        headers: config.headers.clone(),
        link: Arc::new(move |token| link.with(token)),
        sessions: sessions(config, database),
    })
}

fn mailer_settings(config: &Config) -> MailerSettings {
    MailerSettings {
        connections: config.concurrency,
        letters_per_connection: config.letters_per_connection,
        ..MailerSettings::default()
    }
}

fn letters(config: &Config) -> Result<Letters, WorkError> {
    let Some(folder) = &config.templates else {
        return Ok(Letters::built_in());
    };
    let (letters, alerts) = Letters::with_overrides(folder).map_err(WorkError::Templates)?;
    for alert in alerts {
        error!(
            file = alert.file,
            "the built-in letter is used instead of {}/{alert}",
            folder.display()
        );
    }
    Ok(letters)
}

/// Returns the stores that sessions are purged from.
pub fn sessions(config: &Config, database: &Database) -> Vec<Arc<dyn SessionStore>> {
    let open = |store: &SessionStoreConfig| -> Arc<dyn SessionStore> {
        match store {
            SessionStoreConfig::Redis { url, pattern } => {
                Arc::new(RedisSessions::new(url, pattern.clone()))
            }
            SessionStoreConfig::Sql { column } => {
                Arc::new(SqlSessions::new(database.clone(), column))
            }
        }
    };
    config.sessions.iter().map(open).collect()
}

//! The state that request handlers share, and the worker.

use std::str::FromStr;
use std::sync::Arc;

use guestlist::{Database, Guestlist};
use guestlist_jobs::config::{Config, SessionStoreConfig};
use guestlist_jobs::queue::Queue;
use guestlist_jobs::sessions::SessionStore;
use guestlist_jobs::{Waker, Worker, work};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use crate::{sessions, team, users};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) pool: SqlitePool,
    pub(crate) guestlist: Guestlist,
    /// The session stores, which are purged when a membership ends.
    pub(crate) session_stores: Vec<Arc<dyn SessionStore>>,
    /// Wakes the worker.
    pub(crate) waker: Waker,
}

/// Opens the database and creates the worker without starting it.
pub(crate) async fn open() -> anyhow::Result<(App, Worker)> {
    let mut config = Config::from_env()?;
    if config.sessions.is_empty() {
        let column = "sessions.id".parse()?;
        config.sessions = vec![SessionStoreConfig::Sql { column }];
    }
    let options = SqliteConnectOptions::from_str(&config.database_url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .max_connections(32) // the worker takes up to 24 of them
        .connect_with(options)
        .await?;
    guestlist::migrate(&pool).await?;
    for table in [users::TABLE, sessions::TABLE, team::TABLE] {
        sqlx::query(table).execute(&pool).await?;
    }

    let context = work::context(&config, &Database::from(&pool))?;
    let (guestlist, session_stores) = (context.guestlist.clone(), context.sessions.clone());
    let worker = Worker::new(context, Queue::memory(), work::settings(&config));
    let app = App {
        pool,
        guestlist,
        session_stores,
        waker: worker.waker(),
    };
    Ok((app, worker))
}

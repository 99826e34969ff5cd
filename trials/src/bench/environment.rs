//! Servers of the run's own, and what every subject is handed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use sqlx::AssertSqlSafe;
use sqlx::{Connection as _, PgConnection};

use super::command::{Guestlist, Run};
use super::size::Amounts;
use super::store::{self, Store};
use crate::postgres::Postgres;
use crate::redis_server::RedisServer;

/// Whatever still runs ends when it is dropped.
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
    pub(crate) amounts: Amounts,
    pub(crate) repeat: u16,
    pub(crate) progress: Progress,
    pub(crate) guestlist: Guestlist,
    pub(crate) redis: RedisServer,
    postgres: Postgres,
    databases: u32,
}

impl Stage {
    pub(crate) async fn set(
        folder: &Path,
        guestlist: Guestlist,
        amounts: Amounts,
        repeat: u16,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        progress.say("starting Postgres and Redis");
        Ok(Self {
            postgres: Postgres::start(folder).await?,
            redis: RedisServer::start(folder).await?,
            folder: folder.canonicalize()?,
            amounts,
            repeat,
            progress,
            guestlist,
            databases: 0,
        })
    }

    /// A new database, and a Redis that holds nothing.
    pub(crate) async fn store(&mut self) -> anyhow::Result<Store> {
        self.redis.command("FLUSHALL").await?;
        self.databases += 1;
        let name = format!("bench_{}", self.databases);
        self.administer(&format!("CREATE DATABASE {name}")).await?;
        let url = self.postgres.url();
        let (server, _) = url.rsplit_once('/').expect("the URL of a database");
        Store::open(&format!("{server}/{name}")).await
    }

    /// Frees what a database takes.
    pub(crate) async fn drop(&self, store: Store) -> anyhow::Result<()> {
        store.database.close().await;
        let (_, name) = store.url.rsplit_once('/').expect("the URL of a database");
        self.administer(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await?;
        self.administer("CHECKPOINT").await
    }

    async fn administer(&self, statement: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }

    /// The library as a host has it that shares the worker's keys.
    pub(crate) fn guestlist(&self) -> anyhow::Result<guestlist::Guestlist> {
        store::guestlist(self.guestlist.keys())
    }

    /// Starts a worker on Postgres and Redis.
    pub(crate) fn work(
        &self,
        store: &Store,
        smtp_url: String,
        arguments: &[&str],
    ) -> anyhow::Result<Run> {
        let arguments = [&["work"], arguments].concat();
        let variables = [
            ("DATABASE_URL", store.url.clone()),
            ("REDIS_URL", self.redis.url()),
            ("SMTP_URL", smtp_url),
        ];
        self.guestlist.start(&self.folder, &arguments, &variables)
    }
}

/// Says on stderr how far it is.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    began: Instant,
    subject: &'static str,
    place: String,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self {
            began: Instant::now(),
            subject: "",
            place: String::new(),
        }
    }

    pub(crate) fn begin(&mut self, subject: &'static str, place: usize, of: usize) {
        self.subject = subject;
        self.place = format!("{place} of {of}");
    }

    pub(crate) fn say(&self, what: impl AsRef<str>) {
        let seconds = self.began.elapsed().as_secs();
        let what = what.as_ref();
        if self.subject.is_empty() {
            eprintln!("{seconds:>5} s  {what}");
        } else {
            eprintln!("{seconds:>5} s  {} ({}): {what}", self.subject, self.place);
        }
    }

    /// The same for one time of several.
    pub(crate) fn time(&self, time: u16, of: u16, what: impl AsRef<str>) {
        self.say(format!("time {time} of {of}, {}", what.as_ref()));
    }
}

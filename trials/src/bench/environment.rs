//! The servers of a benchmark, and the context of its subjects.

use std::path::{Path, PathBuf};
use std::time::Instant;

use guestlist_testkit::{PostgresServer, RedisServer};
use sqlx::AssertSqlSafe;
use sqlx::{Connection as _, PgConnection};

use super::command::{GuestlistCommand, GuestlistProcess};
use super::size::Amounts;
use super::store::{self, Store};
use crate::postgres;

/// The servers, and the context of the subjects. The servers end when this is dropped.
pub(crate) struct Environment {
    pub(crate) folder: PathBuf,
    pub(crate) amounts: Amounts,
    pub(crate) repeat: u16,
    pub(crate) progress: Progress,
    pub(crate) command: GuestlistCommand,
    /// Another command, to compare it with.
    pub(crate) beside: Option<GuestlistCommand>,
    pub(crate) redis: RedisServer,
    postgres: PostgresServer,
    databases: u32,
}

impl Environment {
    pub(crate) async fn start(
        folder: &Path,
        command: GuestlistCommand,
        beside: Option<GuestlistCommand>,
        amounts: Amounts,
        repeat: u16,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        progress.report("starting Postgres and Redis");
        Ok(Self {
            postgres: postgres::start(folder).await?,
            redis: RedisServer::builder().folder(folder).start().await?,
            folder: folder.canonicalize()?,
            amounts,
            repeat,
            progress,
            command,
            beside,
            databases: 0,
        })
    }

    /// Creates a database with the tables of this program, and empties Redis.
    pub(crate) async fn create_store(&mut self) -> anyhow::Result<Store> {
        Store::open(&self.create_database().await?).await
    }

    /// Like [`create_store`](Self::create_store), with the tables of this command: an earlier one refuses
    /// those of a later one.
    pub(crate) async fn create_store_of(
        &mut self,
        command: &GuestlistCommand,
    ) -> anyhow::Result<Store> {
        let url = self.create_database().await?;
        let variables = [("DATABASE_URL", url.clone())];
        let migration = command.start(&self.folder, &["migrate"], &variables)?;
        migration.wait().await?;
        Store::connect(&url).await
    }

    /// Creates a database, empties Redis, and returns the URL.
    async fn create_database(&mut self) -> anyhow::Result<String> {
        self.redis.command::<()>("FLUSHALL").await?;
        self.databases += 1;
        let name = format!("bench_{}", self.databases);
        self.administer(&format!("CREATE DATABASE {name}")).await?;
        let url = self.postgres.url();
        let (server, _) = url.rsplit_once('/').expect("the URL of a database");
        Ok(format!("{server}/{name}"))
    }

    /// Drops a database, to free its disk space.
    pub(crate) async fn drop_store(&self, store: Store) -> anyhow::Result<()> {
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

    /// Returns the library, with the same keys as the workers.
    pub(crate) fn guestlist(&self) -> anyhow::Result<guestlist::Guestlist> {
        store::guestlist(self.command.keys())
    }

    /// Starts a worker on Postgres and Redis.
    pub(crate) fn start_worker(
        &self,
        store: &Store,
        smtp_url: String,
        arguments: &[&str],
    ) -> anyhow::Result<GuestlistProcess> {
        self.start_worker_of(&self.command, store, smtp_url, arguments, &[])
    }

    /// Like [`start_worker`](Self::start_worker), of another command and with more environment variables.
    pub(crate) fn start_worker_of(
        &self,
        command: &GuestlistCommand,
        store: &Store,
        smtp_url: String,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> anyhow::Result<GuestlistProcess> {
        let arguments = [&["work"], arguments].concat();
        let servers = [
            ("DATABASE_URL", store.url.clone()),
            ("REDIS_URL", self.redis.url()),
            ("SMTP_URL", smtp_url),
        ];
        command.start(&self.folder, &arguments, &[&servers, variables].concat())
    }
}

/// Reports progress on stderr.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    began: Instant,
    subject: &'static str,
    position: String,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self {
            began: Instant::now(),
            subject: "",
            position: String::new(),
        }
    }

    pub(crate) fn start_subject(&mut self, subject: &'static str, number: usize, of: usize) {
        self.subject = subject;
        self.position = format!("{number} of {of}");
    }

    pub(crate) fn report(&self, message: impl AsRef<str>) {
        let seconds = self.began.elapsed().as_secs();
        let message = message.as_ref();
        if self.subject.is_empty() {
            eprintln!("{seconds:>5} s  {message}");
        } else {
            eprintln!(
                "{seconds:>5} s  {} ({}): {message}",
                self.subject, self.position
            );
        }
    }

    /// Reports the start of a repetition.
    pub(crate) fn report_repetition(&self, repetition: u16, of: u16, message: impl AsRef<str>) {
        self.report(format!(
            "repetition {repetition} of {of}, {}",
            message.as_ref()
        ));
    }
}

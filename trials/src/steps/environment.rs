//! The servers that the cases share.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use guestlist::{Actor, Database, Guestlist, Invite, Key, Limits, UserId};
use guestlist_testkit::process::Process;
use guestlist_testkit::{PostgresServer, RedisServer};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;

use crate::host::{OWNER, create_organization};
use crate::postgres;
use crate::sink::Sink;
use crate::worker::{self, Servers};

/// Postgres, Redis and a mail server. Each case has its own database and its own queue in Redis.
pub(super) struct Environment {
    folder: PathBuf,
    postgres: PostgresServer,
    redis: RedisServer,
    sink: Sink,
    keys: String,
    invitations: usize,
    /// Held while a database is copied: Postgres refuses concurrent copies of one template.
    copy_lock: Mutex<()>,
}

const TEMPLATE: &str = "migrated";

impl Environment {
    pub(super) async fn start(folder: &Path, invitations: usize) -> anyhow::Result<Self> {
        let environment = Self {
            folder: folder.to_owned(),
            postgres: postgres::start(folder).await?,
            redis: RedisServer::builder().folder(folder).start().await?,
            sink: Sink::start(folder, 0).await?,
            keys: Key::generate().expose(),
            invitations,
            copy_lock: Mutex::new(()),
        };
        environment
            .administer(&format!("CREATE DATABASE {TEMPLATE}"))
            .await?;
        let template = Database::connect(&environment.postgres.url_of(TEMPLATE), 1).await?;
        guestlist::migrate(&template).await?;
        template.close().await;
        Ok(environment)
    }

    /// File of the mail server's log.
    pub(super) fn log(&self) -> &Path {
        self.sink.log()
    }

    /// File of a worker's log.
    pub(super) fn worker_log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    async fn administer(&self, statement: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await
            .with_context(|| statement.to_owned())?;
        Ok(connection.close().await?)
    }

    /// Creates a migrated database and returns it with its URL. It gets a new installation id, so that
    /// each case has its own queue in Redis.
    pub(super) async fn create_database(&self, name: &str) -> anyhow::Result<(Database, String)> {
        let _guard = self.copy_lock.lock().await;
        let name = name.replace('-', "_");
        self.administer(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
            .await?;
        let url = self.postgres.url_of(&name);
        let database = Database::connect(&url, 2).await?;
        if let Database::Postgres(pool) = &database {
            sqlx::query("UPDATE guestlist_installation SET id = gen_random_uuid()")
                .execute(pool)
                .await?;
        }
        Ok((database, url))
    }

    /// Invites everyone to a new organization in one transaction. Their addresses start with `prefix`.
    pub(super) async fn invite(&self, database: &Database, prefix: &str) -> anyhow::Result<()> {
        let guestlist = Guestlist::builder()
            .key_ring(self.keys.parse()?)
            .limits(Limits::none())
            .build();
        let organization = create_organization(database, &guestlist).await?;
        let owner: UserId = OWNER.parse()?;
        let invites = self.invitees(prefix)?;
        let mut transaction = database.begin().await?;
        for invited in guestlist
            .act(Actor::member(&owner))
            .in_organization(organization)
            .invite_all(&mut transaction, invites)
            .await?
        {
            invited?;
        }
        Ok(transaction.commit().await?)
    }

    fn invitees(&self, prefix: &str) -> anyhow::Result<Vec<Invite>> {
        let invite = |number| {
            let address = format!("{prefix}-{number}@invitee.example");
            Ok(Invite::new(address.parse()?, "agent".parse()?))
        };
        (0..self.invitations).map(invite).collect()
    }

    /// Starts a worker with one connection to the mail server, so that a fault hits exactly one letter.
    /// `failpoint` is the fault to inject, if any.
    pub(super) fn start_worker(
        &self,
        name: &str,
        url: &str,
        failpoint: Option<&str>,
    ) -> anyhow::Result<Process> {
        let servers = Servers {
            database: url,
            redis: &self.redis.url(),
            smtp: &self.sink.url(name),
            keys: &self.keys,
        };
        let mut command = worker::command(&std::env::current_exe()?, &servers);
        command.env("GUESTLIST_CONCURRENCY", "1");
        if let Some(failpoint) = failpoint {
            command.env("FAILPOINTS", failpoint);
        }
        Ok(Process::start(name, command, &self.worker_log(name))?)
    }
}

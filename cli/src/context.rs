//! The database, the library's handle and the output of a command.

use std::time::{Duration, Instant};

use guestlist::worker::{self, MailPause};
use guestlist::{
    Connection, Database, Error, Guestlist, KeyRing, Lend as _, Organization, OrganizationId,
    Origin, Page, Paging, PooledConnection, Transaction,
};
use guestlist_jobs::config::{Config, Keys};

use super::failure::{Failure, Reason, Status};
use super::output::{Output, Row, moment, printable};

/// The maximum number of attempts at a change.
const ATTEMPTS: u32 = 5;

/// The time after which a change is not attempted again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest pause after the first attempt; each later pause is longer by as much.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// An open database and the configured library.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) guestlist: Guestlist,
    pub(crate) output: Output,
    database: Database,
}

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Keeps the changes.
    Commit,
    /// Undoes the changes of a dry run.
    Rollback,
}

impl Context {
    /// Opens the database; an embedded one also gets its key file.
    pub(crate) async fn open(config: Config, output: Output) -> Result<Self, Failure> {
        let database = config.open(1).await?;
        let key_ring = match &config.keys {
            Keys::Absent => KeyRing::default(),
            keys => keys.load()?,
        };
        let origin = Origin::new("cli".parse().expect("a channel"));
        Ok(Self {
            guestlist: config.guestlist(key_ring).with_origin(origin),
            config,
            output,
            database,
        })
    }

    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Fails early if no key is configured.
    pub(crate) fn require_keys(&self) -> Result<(), Failure> {
        self.config.keys.load()?;
        Ok(())
    }

    /// Runs a change in a transaction of its own.
    pub(crate) async fn change<T>(
        &self,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        Ok(self.attempt(Ending::Commit, action).await?)
    }

    /// Like [`Self::change`], with the library's own error, and rolled back in a dry run. After a
    /// conflict it rolls back and runs again, at most [`ATTEMPTS`] times and for [`RETRY_TIMEOUT`].
    pub(crate) async fn attempt<T>(
        &self,
        ending: Ending,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            let problem = match self.once(ending, &action).await {
                Err(problem @ Error::Conflict(_)) => problem,
                settled => return settled,
            };
            if attempt == ATTEMPTS || started.elapsed() >= RETRY_TIMEOUT {
                return Err(problem);
            }
            // After equal pauses, two transactions that conflicted would conflict again.
            let pause = rand::random_range(FIRST_PAUSE / 2..=FIRST_PAUSE) * attempt;
            tracing::debug!(attempt, "conflict with another transaction, trying again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn once<T>(
        &self,
        ending: Ending,
        action: &impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut transaction = self.database.begin().await?;
        let done = action(&mut transaction).await?;
        match ending {
            Ending::Commit => transaction.commit().await?,
            Ending::Rollback => transaction.rollback().await?,
        }
        Ok(done)
    }

    /// Runs a read on a connection without a transaction.
    pub(crate) async fn read<T>(
        &self,
        action: impl AsyncFnOnce(&mut PooledConnection) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        Ok(action(&mut self.database.acquire().await?).await?)
    }

    /// Reads the organization, or fails like for an unknown id.
    pub(crate) async fn organization(&self, id: OrganizationId) -> Result<Organization, Failure> {
        let found = self
            .read(async |tx| self.guestlist.organization(tx, id).await)
            .await?;
        found.ok_or_else(|| Reason::no_such("organization", &id).into())
    }

    /// Prints a list page by page, up to `limit`, and returns the number of items. It holds no
    /// transaction while the reader of the output pauses.
    pub(crate) async fn list<R: Row>(
        &self,
        limit: Option<u32>,
        fetch: impl AsyncFn(Connection<'_>, &Paging) -> Result<Page<R>, Error>,
    ) -> Result<u32, Failure> {
        let limit = limit.unwrap_or(u32::MAX);
        let page_length = |listed: u32| (limit - listed).min(Paging::MAX_LIMIT);
        let mut paging = Paging::first(page_length(0));
        let mut listed = 0;
        loop {
            let page = self
                .read(async |tx| fetch(tx.lend(), &paging).await)
                .await?;
            self.output.rows(&page.items)?;
            listed += u32::try_from(page.items.len()).expect("a page has at most 1000 items");
            match page.next {
                Some(next) if listed < limit => paging = Paging::after(next, page_length(listed)),
                _ => return Ok(listed),
            }
        }
    }

    /// Says on stderr, for people, if sending is paused for everybody.
    pub(crate) async fn note_mail_pause(&self) -> Result<(), Failure> {
        if self.output.is_json() {
            return Ok(());
        }
        let now = self.guestlist.now();
        let pause = self
            .read(async |connection| worker::mail_pause(connection, now).await)
            .await?;
        if let Some(pause) = pause {
            let MailPause { reason, worker, .. } = &pause;
            let (since, until) = (moment(pause.since), moment(pause.until));
            self.output.note(printable(&format!(
                "A worker has paused sending since {since}: {reason}. The worker {worker} tries again at {until}."
            )));
        }
        Ok(())
    }

    /// Prints a list; for people, prints `empty` if it has no items.
    pub(crate) async fn show_list<R: Row>(
        &self,
        limit: Option<u32>,
        empty: &str,
        fetch: impl AsyncFn(Connection<'_>, &Paging) -> Result<Page<R>, Error>,
    ) -> Result<Status, Failure> {
        if self.list(limit, fetch).await? == 0 && !self.output.is_json() {
            self.output.line(empty)?;
        }
        Ok(Status::Done)
    }
}

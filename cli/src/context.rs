//! What a command works with: the database, the library and the output.

use std::time::{Duration, Instant};

use guestlist::{
    Connection, Database, Error, Guestlist, KeyRing, Lend as _, Organization, OrganizationId,
    Origin, Page, Paging, PooledConnection, Transaction,
};
use guestlist_jobs::config::{Config, Keys};

use super::failure::{Failure, Reason, Status};
use super::output::{Output, Row};

/// How often a change is tried.
const ATTEMPTS: u32 = 5;

/// After how long it is not tried again.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest pause after the first attempt; each later one is longer by as much.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// An open database and the configured library.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) guestlist: Guestlist,
    pub(crate) output: Output,
    database: Database,
}

/// What becomes of what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It lasts.
    Commit,
    /// It was only tried out.
    Rollback,
}

impl Context {
    /// Opens the database; an embedded one gets its key file at the same time.
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

    /// Refuses to go on without a key, before anything is looked at.
    pub(crate) fn require_keys(&self) -> Result<(), Failure> {
        self.config.keys.load()?;
        Ok(())
    }

    /// Does something in a transaction of its own: all of it or nothing.
    pub(crate) async fn change<T>(
        &self,
        action: impl AsyncFn(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        Ok(self.attempt(Ending::Commit, action).await?)
    }

    /// The same with the library's own error, and only tried out where it is not to last. Where
    /// another transaction was in the way it is rolled back and run again: at most [`ATTEMPTS`]
    /// times, and not once [`PATIENCE`] is over.
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
            if attempt == ATTEMPTS || started.elapsed() >= PATIENCE {
                return Err(problem);
            }
            // Two that met once and wait equally long would meet again.
            let pause = rand::random_range(FIRST_PAUSE / 2..=FIRST_PAUSE) * attempt;
            tracing::debug!(attempt, "another transaction was in the way, trying again");
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

    /// Reads something.
    pub(crate) async fn read<T>(
        &self,
        action: impl AsyncFnOnce(&mut PooledConnection) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        Ok(action(&mut self.database.acquire().await?).await?)
    }

    /// The organization, or the refusal an unknown id gets.
    pub(crate) async fn organization(&self, id: OrganizationId) -> Result<Organization, Failure> {
        let found = self
            .read(async |tx| self.guestlist.organization(tx, id).await)
            .await?;
        found.ok_or_else(|| Reason::no_such("organization", &id).into())
    }

    /// Prints a list page by page, to its end or to `limit`, and says how many there were. No
    /// transaction is held while somebody reads.
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

    /// Prints a list and, for people, what it means that it is empty.
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

//! A database of a subject's own.

use std::time::{Duration, Instant};

use anyhow::bail;
use guestlist::{Database, Guestlist, Limits};
use sqlx::{AssertSqlSafe, PgPool};

/// How many connections a host has: one for each of its tasks and a few to look with.
const CONNECTIONS: u32 = 36;

/// How often is looked whether all is done.
const LOOK: Duration = Duration::from_millis(10);

/// A migrated database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) url: String,
    pub(crate) database: Database,
}

impl Store {
    /// Opens and migrates it.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let database = Database::connect(url, CONNECTIONS).await?;
        guestlist::migrate(&database).await?;
        Ok(Self {
            url: url.to_owned(),
            database,
        })
    }

    pub(crate) fn pool(&self) -> anyhow::Result<&PgPool> {
        match &self.database {
            Database::Postgres(pool) => Ok(pool),
            _ => bail!("this is measured on Postgres"),
        }
    }

    pub(crate) async fn count(&self, condition: &'static str) -> anyhow::Result<u64> {
        let text = AssertSqlSafe(format!("SELECT count(*) FROM {condition}"));
        let count: i64 = sqlx::query_scalar(text).fetch_one(self.pool()?).await?;
        Ok(u64::try_from(count)?)
    }

    /// Fails unless there are exactly so many.
    pub(crate) async fn require(&self, condition: &'static str, count: u64) -> anyhow::Result<()> {
        let found = self.count(condition).await?;
        anyhow::ensure!(
            found == count,
            "there are {found} of {condition}, and should be {count}"
        );
        Ok(())
    }

    /// Waits until there is none.
    pub(crate) async fn until_none(
        &self,
        condition: &'static str,
        patience: Duration,
    ) -> anyhow::Result<Instant> {
        let text = format!("SELECT EXISTS (SELECT 1 FROM {condition})");
        let deadline = Instant::now() + patience;
        loop {
            let is_there: bool = sqlx::query_scalar(AssertSqlSafe(text.clone()))
                .fetch_one(self.pool()?)
                .await?;
            let now = Instant::now();
            if !is_there {
                return Ok(now);
            }
            if now > deadline {
                let left = self.count(condition).await?;
                bail!(
                    "after {} s there are still {left} of {condition}",
                    patience.as_secs()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Puts what was filled in behind us: no checkpoint and no vacuum of it falls into what is measured.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let tables: String = sqlx::query_scalar(
            "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE tablename LIKE 'guestlist_%'",
        )
        .fetch_one(self.pool()?)
        .await?;
        for statement in [
            format!("VACUUM (ANALYZE) {tables}"),
            "CHECKPOINT".to_owned(),
        ] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(self.pool()?)
                .await?;
        }
        Ok(())
    }
}

/// The library as an application has it, with the limits it has by default.
pub(crate) fn guestlist(keys: &str) -> anyhow::Result<Guestlist> {
    Ok(Guestlist::builder()
        .key_ring(keys.parse()?)
        .limits(Limits::default())
        .build())
}

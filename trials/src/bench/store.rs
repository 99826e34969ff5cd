//! The database of a subject.

use std::time::{Duration, Instant};

use anyhow::bail;
use guestlist::{Database, Guestlist, Limits};
use sqlx::{AssertSqlSafe, PgPool};

/// Number of connections of a host: one for each of its tasks, and a few for checks.
const CONNECTIONS: u32 = 36;

/// Interval at which the database is checked while waiting.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A migrated database.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) url: String,
    pub(crate) database: Database,
}

impl Store {
    /// Connects to a database and migrates it.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let store = Self::connect(url).await?;
        guestlist::migrate(&store.database).await?;
        Ok(store)
    }

    /// Connects to a database that has its tables.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        Ok(Self {
            url: url.to_owned(),
            database: Database::connect(url, CONNECTIONS).await?,
        })
    }

    pub(crate) fn pool(&self) -> anyhow::Result<&PgPool> {
        match &self.database {
            Database::Postgres(pool) => Ok(pool),
            _ => bail!("this subject needs Postgres"),
        }
    }

    pub(crate) async fn count(&self, condition: &'static str) -> anyhow::Result<u64> {
        let text = AssertSqlSafe(format!("SELECT count(*) FROM {condition}"));
        let count: i64 = sqlx::query_scalar(text).fetch_one(self.pool()?).await?;
        Ok(u64::try_from(count)?)
    }

    /// Returns an error unless exactly `count` rows match. `condition` is the part of a query after FROM.
    pub(crate) async fn require(&self, condition: &'static str, count: u64) -> anyhow::Result<()> {
        let found = self.count(condition).await?;
        anyhow::ensure!(
            found == count,
            "expected {count} rows of {condition}, but found {found}"
        );
        Ok(())
    }

    /// Waits until no row matches. Returns the time at which that was seen.
    pub(crate) async fn wait_until_none(
        &self,
        condition: &'static str,
        timeout: Duration,
    ) -> anyhow::Result<Instant> {
        let text = format!("SELECT EXISTS (SELECT 1 FROM {condition})");
        let deadline = Instant::now() + timeout;
        loop {
            let exists: bool = sqlx::query_scalar(AssertSqlSafe(text.clone()))
                .fetch_one(self.pool()?)
                .await?;
            let now = Instant::now();
            if !exists {
                return Ok(now);
            }
            if now > deadline {
                let left = self.count(condition).await?;
                bail!(
                    "{left} rows of {condition} are left after {} s",
                    timeout.as_secs()
                );
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Vacuums the tables and writes a checkpoint, so that neither happens during the measurement.
    pub(crate) async fn vacuum(&self) -> anyhow::Result<()> {
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

/// Returns the library with the default limits.
pub(crate) fn guestlist(keys: &str) -> anyhow::Result<Guestlist> {
    Ok(Guestlist::builder()
        .key_ring(keys.parse()?)
        .limits(Limits::default())
        .build())
}

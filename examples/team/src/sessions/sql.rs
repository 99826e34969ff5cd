//! Sessions as rows of `team_sessions`, for tower-sessions.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use guestlist::Database;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use crate::database::on_driver;

/// A session store in the database.
#[derive(Clone)]
pub(crate) struct SqlStore(pub(super) Database);

impl SqlStore {
    /// Writes a record with an INSERT or an UPDATE. Returns false if no row was written.
    async fn write(&self, statement: &'static str, record: &Record) -> Result<bool> {
        let text =
            serde_json::to_string(record).map_err(|error| Error::Encode(error.to_string()))?;
        let written = on_driver!(&mut self.0.acquire().await.map_err(backend)?, driver => {
            let query = sqlx::query(statement)
                .bind(record.id.to_string())
                .bind(&text)
                .bind(expires_at(record));
            query.execute(driver).await.map(|done| done.rows_affected())
        });
        Ok(written.map_err(backend)? == 1)
    }
}

#[async_trait]
impl SessionStore for SqlStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        const INSERT: &str =
            "INSERT INTO team_sessions (id, record, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING";
        while !self.write(INSERT, record).await? {
            record.id = Id::default();
        }
        Ok(())
    }

    /// Only updates: a request that started before a session was purged must not create it again.
    async fn save(&self, record: &Record) -> Result<()> {
        const UPDATE: &str = "UPDATE team_sessions SET record = $2, expires_at = $3 WHERE id = $1";
        self.write(UPDATE, record).await.map(drop)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        const FIND: &str = "SELECT record FROM team_sessions WHERE id = $1 AND expires_at > $2";
        let found = on_driver!(&mut self.0.acquire().await.map_err(backend)?, driver => {
            let query = sqlx::query_as(FIND).bind(id.to_string()).bind(Utc::now());
            query.fetch_optional(driver).await
        });
        let found: Option<(String,)> = found.map_err(backend)?;
        let record = found.map(|(text,)| serde_json::from_str(&text));
        record
            .transpose()
            .map_err(|error| Error::Decode(error.to_string()))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        const DELETE: &str = "DELETE FROM team_sessions WHERE id = $1";
        let deleted = on_driver!(&mut self.0.acquire().await.map_err(backend)?, driver => {
            sqlx::query(DELETE).bind(id.to_string()).execute(driver).await.map(drop)
        });
        deleted.map_err(backend)
    }
}

fn expires_at(record: &Record) -> DateTime<Utc> {
    DateTime::from_timestamp(record.expiry_date.unix_timestamp(), 0).unwrap_or_default()
}

fn backend(error: impl fmt::Display) -> Error {
    Error::Backend(error.to_string())
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqlStore")
    }
}

//! Messages in a worker's hands.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use super::{COLUMNS, Message, Priority};
use crate::connection::{Connection, Dialect, sql};
use crate::error::Error;
use crate::id::MessageId;

/// A message in a worker's hands: the ticket that goes through the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRow)]
pub struct Lease {
    /// The message.
    pub id: MessageId,
    /// The fencing token of this lease.
    pub generation: i64,
    priority: i64,
}

impl Lease {
    /// Whether it goes before letters.
    pub fn is_urgent(&self) -> bool {
        self.priority == Priority::URGENT.get()
    }
}

macro_rules! lease_statement {
    ($lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (
                 SELECT id AS due_id FROM guestlist_outbox
                 WHERE dead_at IS NULL AND priority >= $1 AND priority <= $2 AND run_at <= $3
                   AND (leased_until IS NULL OR leased_until <= $3)
                 ORDER BY priority, run_at LIMIT $4 ",
            $lock,
            ")
             UPDATE guestlist_outbox SET leased_until = $5, generation = generation + 1
             FROM due WHERE id = due_id
             RETURNING id, generation, CAST(priority AS bigint) AS priority"
        )
    };
}

/// Leases up to `limit` due messages between the two priorities until `now + lease`.
///
/// Several workers share what is due without waiting for each other.
///
/// # Errors
/// [`Error::Database`].
pub async fn lease(
    connection: impl Into<Connection<'_>>,
    now: DateTime<Utc>,
    lease: Duration,
    (highest, lowest): (Priority, Priority),
    limit: usize,
) -> Result<Vec<Lease>, Error> {
    let mut connection = connection.into();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => lease_statement!("FOR UPDATE SKIP LOCKED"),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => lease_statement!(""),
    };
    let statement = sql(text)
        .bind(highest.get())
        .bind(lowest.get())
        .bind(now)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(now + lease);
    let mut leases: Vec<Lease> = connection.fetch_all(statement).await?;
    leases.sort_by_key(|lease| (lease.priority, lease.id));
    Ok(leases)
}

/// Reads a leased message, unless its fence moved: it was settled, leased again or given up.
///
/// # Errors
/// [`Error::Database`].
pub async fn take(
    connection: impl Into<Connection<'_>>,
    id: MessageId,
    generation: i64,
) -> Result<Option<Message>, Error> {
    const TAKE: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_outbox WHERE id = $1 AND generation = $2 AND dead_at IS NULL"
    );
    Ok(connection
        .into()
        .fetch_optional(sql(TAKE).bind(id.as_uuid()).bind(generation))
        .await?)
}

/// Renews leases until `until`, in one statement, and says which are still held.
///
/// Rows are locked in the order of their ids here and in [`complete`](super::complete), or a
/// renewal and a settlement that meet would deadlock.
///
/// # Errors
/// [`Error::Database`].
pub async fn renew(
    connection: impl Into<Connection<'_>>,
    until: DateTime<Utc>,
    leases: &[(MessageId, i64)],
) -> Result<Vec<MessageId>, Error> {
    if leases.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = connection.into();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "WITH held AS MATERIALIZED (
                 SELECT message.id AS held_id FROM guestlist_outbox AS message
                 JOIN jsonb_to_recordset($2) AS held (id uuid, generation bigint)
                     ON message.id = held.id AND message.generation = held.generation
                 WHERE message.dead_at IS NULL
                 ORDER BY message.id FOR UPDATE OF message)
             UPDATE guestlist_outbox SET leased_until = $1 FROM held WHERE id = held_id
             RETURNING id"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "UPDATE guestlist_outbox SET leased_until = $1
             WHERE dead_at IS NULL AND (id, generation) IN
                 (SELECT unhex(value ->> 'id'), value ->> 'generation' FROM json_each($2))
             RETURNING id"
        }
    };
    let held: Vec<(MessageId,)> = connection
        .fetch_all(sql(text).bind(until).bind(tickets(leases)))
        .await?;
    Ok(held.into_iter().map(|(id,)| id).collect())
}

/// Gives leases back whose messages nobody has seen yet, in one statement: they are due at once.
///
/// # Errors
/// [`Error::Database`].
pub async fn release(
    connection: impl Into<Connection<'_>>,
    leases: &[(MessageId, i64)],
) -> Result<(), Error> {
    if leases.is_empty() {
        return Ok(());
    }
    let mut connection = connection.into();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "UPDATE guestlist_outbox AS message SET leased_until = NULL
             FROM jsonb_to_recordset($1) AS held (id uuid, generation bigint)
             WHERE message.id = held.id AND message.generation = held.generation"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "UPDATE guestlist_outbox SET leased_until = NULL
             WHERE (id, generation) IN
                 (SELECT unhex(value ->> 'id'), value ->> 'generation' FROM json_each($1))"
        }
    };
    connection.execute(sql(text).bind(tickets(leases))).await?;
    Ok(())
}

fn tickets(leases: &[(MessageId, i64)]) -> Json {
    leases
        .iter()
        .map(|(id, generation)| json!({ "id": id.as_uuid().simple(), "generation": generation }))
        .collect()
}

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
    /// Whether the lease before it was neither settled nor given back, but lapsed: its holder died,
    /// was paused, or its dispatch was lost.
    #[sqlx(rename = "lapsed")]
    pub follows_a_lapse: bool,
    priority: i64,
}

impl Lease {
    /// Whether it goes before letters.
    pub fn is_urgent(&self) -> bool {
        self.priority == Priority::URGENT.get()
    }
}

/// Which messages are due, and whether the lease that each was under has lapsed.
macro_rules! due {
    () => {
        "SELECT id AS due_id, leased_until IS NOT NULL AS lapsed FROM guestlist_outbox
         WHERE dead_at IS NULL AND priority >= $1 AND priority <= $2 AND run_at <= $3
           AND (leased_until IS NULL OR leased_until <= $3)
         ORDER BY priority, run_at LIMIT $4"
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
    priorities: (Priority, Priority),
    limit: usize,
) -> Result<Vec<Lease>, Error> {
    let mut connection = connection.into();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut leases = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => lease_at_once(&mut connection, now, lease, priorities, limit).await?,
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => lease_if_any(&mut connection, now, lease, priorities, limit).await?,
    };
    leases.sort_by_key(|lease| (lease.priority, lease.id));
    Ok(leases)
}

#[cfg(feature = "postgres")]
async fn lease_at_once(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    lease: Duration,
    (highest, lowest): (Priority, Priority),
    limit: i64,
) -> Result<Vec<Lease>, Error> {
    let statement = sql(concat!(
        "WITH due AS MATERIALIZED (",
        due!(),
        " FOR UPDATE SKIP LOCKED)
         UPDATE guestlist_outbox SET leased_until = $5, generation = generation + 1
         FROM due WHERE id = due_id
         RETURNING id, generation, CAST(priority AS bigint) AS priority, lapsed"
    ));
    let statement = statement.bind(highest.get()).bind(lowest.get()).bind(now);
    Ok(connection
        .fetch_all(statement.bind(limit).bind(now + lease))
        .await?)
}

/// In two steps, since what SQLite returns from an update says nothing of the lease before it. Who
/// finds nothing takes no lock; who was overtaken between the steps leases what is left.
#[cfg(feature = "sqlite")]
async fn lease_if_any(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    lease: Duration,
    (highest, lowest): (Priority, Priority),
    limit: i64,
) -> Result<Vec<Lease>, Error> {
    let statement = sql(due!()).bind(highest.get()).bind(lowest.get());
    let due: Vec<(MessageId, bool)> = connection
        .fetch_all(statement.bind(now).bind(limit))
        .await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let ids = |only_lapsed: bool| -> Json {
        let wanted = due.iter().filter(|(_, lapsed)| *lapsed || !only_lapsed);
        wanted.map(|(id, _)| json!(id.as_uuid().simple())).collect()
    };
    let statement = sql("UPDATE guestlist_outbox
         SET leased_until = $2, generation = generation + 1
         WHERE id IN (SELECT unhex(value) FROM json_each($3)) AND dead_at IS NULL AND run_at <= $1
           AND (leased_until IS NULL OR leased_until <= $1)
         RETURNING id, generation, CAST(priority AS bigint) AS priority,
             id IN (SELECT unhex(value) FROM json_each($4)) AS lapsed");
    let statement = statement.bind(now).bind(now + lease);
    Ok(connection
        .fetch_all(statement.bind(ids(false)).bind(ids(true)))
        .await?)
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

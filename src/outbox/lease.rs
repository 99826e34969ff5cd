//! Leases of messages by workers.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use super::{COLUMNS, FairCursor, Message, Priority, Ticket};
#[cfg(feature = "postgres")]
use crate::connection::Statement;
use crate::connection::{Connection, Dialect, Lend, sql};
use crate::error::Error;
#[cfg(feature = "sqlite")]
use crate::id::MessageId;
use crate::id::OrganizationId;

/// A leased message, as it is dispatched through the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRow)]
#[non_exhaustive]
pub struct Lease {
    /// The message and the generation of this lease.
    #[sqlx(flatten)]
    pub ticket: Ticket,
    /// The organization that the message belongs to.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// `true` if the previous lease was neither settled nor released but expired: its worker died
    /// or was paused, or the dispatch was lost.
    #[sqlx(rename = "lapsed")]
    pub follows_a_lapse: bool,
    priority: i64,
}

impl Lease {
    /// Returns `true` if it goes before letters.
    pub fn is_urgent(&self) -> bool {
        self.priority == Priority::URGENT.get()
    }
}

/// Sets the columns of a lease. If the previous lease has expired, its worker may have sent the
/// letter, so the letter keeps the date that it had under that lease. Its job may also have ended
/// that worker, so starts of the job are counted from now on.
macro_rules! leased {
    ($now:literal, $until:literal) => {
        concat!(
            "letter_date = CASE WHEN leased_until IS NULL THEN ",
            kept_letter_date!(),
            " ELSE COALESCE(letter_date, leased_at, created_at) END,
             crashes = CASE WHEN leased_until IS NULL THEN crashes ELSE COALESCE(crashes, 0) END,
             leased_at = ",
            $now,
            ", leased_until = ",
            $until,
            ", generation = generation + 1"
        )
    };
}

/// Leases the messages that a preceding `due` selected. Their ids are passed as an array; otherwise
/// Postgres would scan the whole table for a few ids.
#[cfg(feature = "postgres")]
macro_rules! lease_due {
    () => {
        concat!(
            " UPDATE guestlist_outbox SET ",
            leased!("$2", "$3"),
            " WHERE id = ANY (ARRAY (SELECT due_id FROM due))
          RETURNING id, organization_id, generation, CAST(priority AS bigint) AS priority,
              id = ANY (ARRAY (SELECT due_id FROM due WHERE lapsed)) AS lapsed"
        )
    };
}

/// Selects due messages, and if the previous lease of each has expired.
macro_rules! due {
    ($columns:literal, $whose:literal, $limit:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM guestlist_outbox WHERE dead_at IS NULL AND priority = $1 AND run_at <= $2
               AND (leased_until IS NULL OR leased_until <= $2)",
            $whose,
            " ORDER BY run_at LIMIT ",
            $limit
        )
    };
}

/// Leases up to `limit` due messages until `now + lease`. Each organization that is next gives an
/// equal share, oldest first; the rest is taken from the messages that have waited longest. The
/// result alternates between the organizations.
///
/// Several workers can lease at once without waiting for each other.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// let mut cursor = outbox::FairCursor::of(outbox::Priority::LETTER);
/// let a_minute = std::time::Duration::from_secs(60);
/// let leases = outbox::lease(&mut *tx, &mut cursor, now, a_minute, 100).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn lease(
    connection: impl Lend<'_>,
    cursor: &mut FairCursor,
    now: DateTime<Utc>,
    lease: Duration,
    limit: usize,
) -> Result<Vec<Lease>, Error> {
    let mut connection = connection.lend();
    let round = cursor.round(&mut connection, limit).await?;
    let visited = &round.organizations;
    if visited.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let order = Order {
        priority: cursor.priority(),
        now,
        until: now + lease,
    };
    let share = (limit / visited.len()).max(1);
    let mut leases = order.each(&mut connection, visited, share, limit).await?;
    let mut counts: HashMap<OrganizationId, usize> = HashMap::new();
    for lease in &leases {
        *counts.entry(lease.organization).or_default() += 1;
    }
    if leases.len() == limit {
        let last = visited.iter().rfind(|visited| counts.contains_key(visited));
        cursor.served(*last.unwrap_or(&visited[visited.len() - 1]));
    } else {
        cursor.served(visited[visited.len() - 1]);
        let may_have_more = counts.values().any(|count| *count >= share);
        if may_have_more || !round.is_complete {
            let rest = limit - leases.len();
            leases.extend(order.oldest(&mut connection, rest).await?);
        }
    }
    interleave(&mut leases);
    Ok(leases)
}

/// Orders the leases by rounds: the first of every organization, then the second of every
/// organization.
fn interleave(leases: &mut [Lease]) {
    leases.sort_by_key(|lease| lease.ticket);
    let mut counts: HashMap<OrganizationId, usize> = HashMap::new();
    let mut places = HashMap::with_capacity(leases.len());
    for lease in leases.iter() {
        let count = counts.entry(lease.organization).or_default();
        places.insert(lease.ticket, *count);
        *count += 1;
    }
    leases.sort_by_key(|lease| (places.get(&lease.ticket).copied(), lease.ticket));
}

/// The parameters of a lease.
struct Order {
    priority: Priority,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Order {
    /// Leases up to `share` messages of each organization, at most `limit`.
    async fn each(
        &self,
        connection: &mut Connection<'_>,
        organizations: &[OrganizationId],
        share: usize,
        limit: usize,
    ) -> Result<Vec<Lease>, Error> {
        let organizations: Json = organizations
            .iter()
            .map(|organization| json!(organization.as_uuid().simple()))
            .collect();
        match connection.dialect() {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let statement = sql(concat!(
                    "WITH due AS MATERIALIZED (
                         SELECT due.* FROM jsonb_array_elements_text($5) AS visited (organization)
                         CROSS JOIN LATERAL (",
                    due!(
                        "id AS due_id, leased_until IS NOT NULL AS lapsed",
                        " AND organization_id = visited.organization::uuid",
                        "$6 FOR UPDATE SKIP LOCKED"
                    ),
                    ") AS due LIMIT $4)",
                    lease_due!()
                ));
                let statement = self.bound(statement).bind(whole(limit));
                let statement = statement.bind(organizations).bind(whole(share));
                Ok(connection.fetch_all(statement).await?)
            }
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => {
                // SQLite has no lateral join; a correlated list of ids is looked up one by one.
                let statement = sql(concat!(
                    "SELECT message.id AS due_id, message.leased_until IS NOT NULL AS lapsed
                     FROM json_each($4) AS visited CROSS JOIN guestlist_outbox AS message
                     WHERE message.id IN (",
                    due!("id", " AND organization_id = unhex(visited.value)", "$5"),
                    ") LIMIT $3"
                ));
                let statement = statement.bind(self.priority.get()).bind(self.now);
                let statement = statement.bind(whole(limit)).bind(organizations);
                let due = connection.fetch_all(statement.bind(whole(share))).await?;
                self.take(connection, due).await
            }
        }
    }

    /// Leases up to `limit` messages that have waited longest, of any organization.
    async fn oldest(
        &self,
        connection: &mut Connection<'_>,
        limit: usize,
    ) -> Result<Vec<Lease>, Error> {
        match connection.dialect() {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let statement = sql(concat!(
                    "WITH due AS MATERIALIZED (",
                    due!(
                        "id AS due_id, leased_until IS NOT NULL AS lapsed",
                        "",
                        "$4 FOR UPDATE SKIP LOCKED"
                    ),
                    ")",
                    lease_due!()
                ));
                let statement = self.bound(statement).bind(whole(limit));
                Ok(connection.fetch_all(statement).await?)
            }
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => {
                let statement = sql(due!(
                    "id AS due_id, leased_until IS NOT NULL AS lapsed",
                    "",
                    "$3"
                ));
                let statement = statement.bind(self.priority.get()).bind(self.now);
                let due = connection.fetch_all(statement.bind(whole(limit))).await?;
                self.take(connection, due).await
            }
        }
    }

    #[cfg(feature = "postgres")]
    fn bound<'a>(&self, statement: Statement<'a>) -> Statement<'a> {
        let statement = statement.bind(self.priority.get()).bind(self.now);
        statement.bind(self.until)
    }

    /// Leases the selected messages. This is the second of two steps, because an SQLite update
    /// cannot return the previous lease. The first step takes no write lock if nothing is due; if
    /// another worker leased some of them in between, only the others are leased.
    #[cfg(feature = "sqlite")]
    async fn take(
        &self,
        connection: &mut Connection<'_>,
        due: Vec<(MessageId, bool)>,
    ) -> Result<Vec<Lease>, Error> {
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let ids = |only_lapsed: bool| -> Json {
            let wanted = due.iter().filter(|(_, lapsed)| *lapsed || !only_lapsed);
            wanted.map(|(id, _)| json!(id.as_uuid().simple())).collect()
        };
        let statement = sql(concat!(
            "UPDATE guestlist_outbox SET ",
            leased!("$1", "$2"),
            " WHERE id IN (SELECT unhex(value) FROM json_each($3)) AND dead_at IS NULL AND run_at <= $1
               AND (leased_until IS NULL OR leased_until <= $1)
             RETURNING id, organization_id, generation, CAST(priority AS bigint) AS priority,
                 id IN (SELECT unhex(value) FROM json_each($4)) AS lapsed"
        ));
        let statement = statement.bind(self.now).bind(self.until);
        Ok(connection
            .fetch_all(statement.bind(ids(false)).bind(ids(true)))
            .await?)
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads leased messages in one statement, in no particular order. A message whose generation has
/// changed is left out: it was settled, leased again or given up.
///
/// ```
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(connection: &mut Connection<'_>, lease: outbox::Lease) -> Result<(), Error> {
/// let messages = outbox::take_all(&mut *connection, &[lease.ticket]).await?;
/// let tasks: Vec<_> = messages.iter().map(|message| message.task()).collect();
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn take_all(
    connection: impl Lend<'_>,
    tickets: &[Ticket],
) -> Result<Vec<Message>, Error> {
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = connection.lend();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_outbox WHERE dead_at IS NULL AND id = ANY (ARRAY(
                 SELECT value::uuid FROM jsonb_array_elements_text($1) AS asked (value)))"
        ),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_outbox
             WHERE dead_at IS NULL AND id IN (SELECT unhex(value) FROM json_each($1))"
        ),
    };
    let ids: Json = tickets
        .iter()
        .map(|ticket| json!(ticket.message.as_uuid().simple()))
        .collect();
    let mut messages: Vec<Message> = connection.fetch_all(sql(text).bind(ids)).await?;
    let asked: HashSet<_> = tickets.iter().collect();
    messages.retain(|message| asked.contains(&message.ticket()));
    Ok(messages)
}

/// Renews leases until `until`, in one statement, and returns those still held.
///
/// Rows are locked in the order of their ids here and in [`complete`](super::complete); otherwise a
/// renewal and a settlement at the same time could deadlock.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>, lease: outbox::Lease) -> Result<(), Error> {
/// let until = now + chrono::TimeDelta::seconds(60);
/// let held = outbox::renew(&mut *tx, until, &[lease.ticket]).await?;
/// let is_lost = !held.contains(&lease.ticket);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn renew(
    connection: impl Lend<'_>,
    until: DateTime<Utc>,
    tickets: &[Ticket],
) -> Result<Vec<Ticket>, Error> {
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = connection.lend();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "WITH asked AS MATERIALIZED (
                 SELECT * FROM jsonb_to_recordset($2) AS asked (id uuid, generation bigint)),
             held AS MATERIALIZED (
                 SELECT id AS held_id FROM guestlist_outbox
                 WHERE id = ANY (ARRAY (SELECT id FROM asked)) AND dead_at IS NULL
                   AND (id, generation) IN (SELECT id, generation FROM asked)
                 ORDER BY id FOR UPDATE)
             UPDATE guestlist_outbox SET leased_until = $1
             WHERE id = ANY (ARRAY (SELECT held_id FROM held))
             RETURNING id, generation"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "UPDATE guestlist_outbox SET leased_until = $1
             WHERE dead_at IS NULL AND (id, generation) IN
                 (SELECT unhex(value ->> 'id'), value ->> 'generation' FROM json_each($2))
             RETURNING id, generation"
        }
    };
    let statement = sql(text).bind(until).bind(as_json(tickets));
    Ok(connection.fetch_all(statement).await?)
}

/// Releases leases of messages that were not started, in one statement: they are due at once.
///
/// ```
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, lease: outbox::Lease) -> Result<(), Error> {
/// outbox::release(&mut *tx, &[lease.ticket]).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn release(connection: impl Lend<'_>, tickets: &[Ticket]) -> Result<(), Error> {
    if tickets.is_empty() {
        return Ok(());
    }
    let mut connection = connection.lend();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "UPDATE guestlist_outbox AS message SET leased_until = NULL, leased_at = NULL
             FROM jsonb_to_recordset($1) AS held (id uuid, generation bigint)
             WHERE message.id = held.id AND message.generation = held.generation"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "UPDATE guestlist_outbox SET leased_until = NULL, leased_at = NULL
             WHERE (id, generation) IN
                 (SELECT unhex(value ->> 'id'), value ->> 'generation' FROM json_each($1))"
        }
    };
    connection.execute(sql(text).bind(as_json(tickets))).await?;
    Ok(())
}

fn as_json(tickets: &[Ticket]) -> Json {
    let row = |ticket: &Ticket| json!({ "id": ticket.message.as_uuid().simple(), "generation": ticket.generation });
    tickets.iter().map(row).collect()
}

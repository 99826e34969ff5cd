//! What was promised and is still to be done: the truth behind the queue.
//!
//! A mutation writes its messages in the host's transaction. A worker leases due messages, acts,
//! and settles them: a row stays until its effect is confirmed. Hosts only ever write here, through
//! the mutations; everything public in this module is the worker's side.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use crate::connection::{Connection, Dialect, sql};
use crate::error::Error;
use crate::id::{EventId, InvitationId, MessageId, OrganizationId, UserId};
use crate::remark::remark;

/// What a message asks for. It speaks of ids only: never an address, a name or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "ids", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// Mail an invitation's link.
    SendInvitation {
        /// The invitation.
        invitation: InvitationId,
        /// Which of its letters; a newer one makes an older one needless.
        letter: i64,
    },
    /// Mail the link again shortly before the invitation expires.
    SendReminder {
        /// The invitation.
        invitation: InvitationId,
        /// The letter it reminds of.
        letter: i64,
    },
    /// Tell someone by letter that an event happened.
    SendNotice {
        /// The event.
        event: EventId,
    },
    /// Delete the sessions that ended with a membership.
    PurgeSessions {
        /// Whose; everybody's where the organization was deleted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
}

/// How soon a message goes among those that are due; lower goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(i64);

impl Priority {
    /// Ends of sessions: before any letter.
    pub const URGENT: Self = Self(0);
    /// Letters.
    pub const LETTER: Self = Self(1);

    /// The number stored with the message.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl Task {
    /// The task's place among others.
    pub fn priority(&self) -> Priority {
        match self {
            Self::PurgeSessions { .. } => Priority::URGENT,
            _ => Priority::LETTER,
        }
    }
}

/// Writes a message in the transaction that promises it.
pub(crate) async fn push(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    organization: OrganizationId,
    task: &Task,
) -> Result<(), Error> {
    let mut tagged = serde_json::to_value(task).expect("a task holds nothing but ids");
    let ids = tagged["ids"].take();
    connection
        .execute(
            sql("INSERT INTO guestlist_outbox (id, kind, ids, organization_id, priority, run_at, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $6)")
            .bind(MessageId::new(now).as_uuid())
            .bind(tagged["kind"].as_str())
            .bind(ids)
            .bind(organization.as_uuid())
            .bind(task.priority().get())
            .bind(now),
        )
        .await?;
    Ok(())
}

/// A message as a worker sees it.
#[derive(Debug, Clone, FromRow)]
#[non_exhaustive]
pub struct Message {
    /// Names the message, and the letter it becomes.
    pub id: MessageId,
    /// The kind of task, which a newer version may know and this one not.
    pub kind: String,
    /// The ids the task speaks of.
    pub ids: Json,
    /// The organization it belongs to.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// When it may run.
    pub run_at: DateTime<Utc>,
    /// When it was promised.
    pub created_at: DateTime<Utc>,
    /// How many attempts were spent.
    pub attempts: i64,
    /// How many of them failed by themselves, and not for the recipient's sake.
    pub faults: i64,
    /// The fencing token: it rises whenever the message is leased.
    pub generation: i64,
    /// Until when someone holds it.
    pub leased_until: Option<DateTime<Utc>>,
    /// When it was given up.
    pub dead_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Message {
    /// The task, or `None` where this version knows no such kind or the ids do not fit.
    pub fn task(&self) -> Option<Task> {
        serde_json::from_value(json!({ "kind": self.kind, "ids": self.ids })).ok()
    }

    /// Ready, leased or dead, as of `now`.
    pub fn state(&self, now: DateTime<Utc>) -> State {
        match (self.dead_at, self.leased_until) {
            (Some(_), _) => State::Dead,
            (None, Some(until)) if until > now => State::Leased,
            (None, _) => State::Ready,
        }
    }
}

crate::text_enum::text_enum! {
    /// Where a message stands.
    State {
        /// Waiting for its time or for a worker.
        Ready = "ready",
        /// In some worker's hands.
        Leased = "leased",
        /// Given up; someone has to look at it.
        Dead = "dead",
    }
}

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

const COLUMNS: &str = "id, kind, ids, organization_id, run_at, created_at, attempts, faults, generation, leased_until, \
                       dead_at, last_error";

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
            "UPDATE guestlist_outbox AS message SET leased_until = $1
             FROM jsonb_to_recordset($2) AS held (id uuid, generation bigint)
             WHERE message.id = held.id AND message.generation = held.generation AND message.dead_at IS NULL
             RETURNING message.id"
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

/// Deletes messages whose effect is confirmed, whoever holds them now: what was done is done.
///
/// # Errors
/// [`Error::Database`].
pub async fn complete(
    connection: impl Into<Connection<'_>>,
    messages: &[MessageId],
) -> Result<(), Error> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut connection = connection.into();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "DELETE FROM guestlist_outbox
             WHERE id IN (SELECT value::uuid FROM jsonb_array_elements_text($1) AS done (value))"
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "DELETE FROM guestlist_outbox WHERE id IN (SELECT unhex(value) FROM json_each($1))"
        }
    };
    let ids: Json = messages
        .iter()
        .map(|id| json!(id.as_uuid().simple()))
        .collect();
    connection.execute(sql(text).bind(ids)).await?;
    Ok(())
}

/// What putting a message back costs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Nothing: it was not its turn, or nobody could be served.
    Nothing,
    /// An attempt: its recipient asked to come back later.
    Attempt,
    /// An attempt, and one of the few faults a message may have: it failed by itself.
    Fault,
}

/// Puts a message back until `run_at`, unless its fence moved.
///
/// # Errors
/// [`Error::Database`].
pub async fn postpone(
    connection: impl Into<Connection<'_>>,
    id: MessageId,
    generation: i64,
    run_at: DateTime<Utc>,
    cost: Cost,
    why: &str,
) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_outbox
             SET run_at = $3, attempts = attempts + $4, faults = faults + $5, last_error = $6, leased_until = NULL
             WHERE id = $1 AND generation = $2 AND dead_at IS NULL");
    let statement = statement.bind(id.as_uuid()).bind(generation).bind(run_at);
    connection
        .into()
        .execute(
            statement
                .bind(i64::from(cost != Cost::Nothing))
                .bind(i64::from(cost == Cost::Fault))
                .bind(remark(why).as_str()),
        )
        .await?;
    Ok(())
}

/// Gives a message up, unless its fence moved; it stays until someone retries or discards it.
///
/// # Errors
/// [`Error::Database`].
pub async fn bury(
    connection: impl Into<Connection<'_>>,
    id: MessageId,
    generation: i64,
    now: DateTime<Utc>,
    why: &str,
) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_outbox
             SET dead_at = $3, attempts = attempts + 1, last_error = $4, leased_until = NULL
             WHERE id = $1 AND generation = $2 AND dead_at IS NULL");
    connection
        .into()
        .execute(
            statement
                .bind(id.as_uuid())
                .bind(generation)
                .bind(now)
                .bind(remark(why).as_str()),
        )
        .await?;
    Ok(())
}

/// How many messages of a kind stand where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Count {
    /// The kind of task.
    pub kind: String,
    /// Where they stand.
    #[sqlx(try_from = "String")]
    pub state: State,
    /// How many.
    pub count: i64,
    /// When the oldest was promised.
    pub oldest_at: DateTime<Utc>,
}

/// Counts the messages by kind and state as of `now`.
///
/// # Errors
/// [`Error::Database`].
pub async fn counts(
    connection: impl Into<Connection<'_>>,
    now: DateTime<Utc>,
) -> Result<Vec<Count>, Error> {
    let statement = sql(
        "SELECT kind, state, count(*) AS count, min(created_at) AS oldest_at FROM (
                 SELECT kind, created_at, CASE WHEN dead_at IS NOT NULL THEN 'dead'
                     WHEN leased_until > $1 THEN 'leased' ELSE 'ready' END AS state
                 FROM guestlist_outbox) AS messages
             GROUP BY kind, state ORDER BY kind, state",
    );
    Ok(connection.into().fetch_all(statement.bind(now)).await?)
}

/// The messages in `state` behind `after`, oldest first, at most `limit`.
///
/// # Errors
/// [`Error::Database`].
pub async fn list(
    connection: impl Into<Connection<'_>>,
    now: DateTime<Utc>,
    state: State,
    after: Option<MessageId>,
    limit: u32,
) -> Result<Vec<Message>, Error> {
    macro_rules! list {
        ($condition:literal) => {
            const_format::concatcp!(
                "SELECT ",
                COLUMNS,
                " FROM guestlist_outbox WHERE ",
                $condition,
                " AND id > $2 ORDER BY id LIMIT $3"
            )
        };
    }
    let text = match state {
        State::Ready => list!("dead_at IS NULL AND (leased_until IS NULL OR leased_until <= $1)"),
        State::Leased => list!("dead_at IS NULL AND leased_until > $1"),
        State::Dead => list!("dead_at IS NOT NULL AND dead_at <= $1"),
    };
    let after = after.map_or(uuid::Uuid::nil(), |after| after.as_uuid());
    Ok(connection
        .into()
        .fetch_all(sql(text).bind(now).bind(after).bind(i64::from(limit)))
        .await?)
}

/// How many messages are due or in somebody's hands as of `now`.
///
/// # Errors
/// [`Error::Database`].
pub async fn unsettled(
    connection: impl Into<Connection<'_>>,
    now: DateTime<Utc>,
) -> Result<i64, Error> {
    let statement =
        sql("SELECT count(*) FROM guestlist_outbox WHERE dead_at IS NULL AND run_at <= $1");
    Ok(connection.into().fetch_count(statement.bind(now)).await?)
}

/// Makes a dead or waiting message due now with all its attempts, and says whether there was one.
///
/// # Errors
/// [`Error::Database`].
pub async fn retry(
    connection: impl Into<Connection<'_>>,
    now: DateTime<Utc>,
    id: MessageId,
) -> Result<bool, Error> {
    let statement = sql(
        "UPDATE guestlist_outbox SET run_at = $2, attempts = 0, faults = 0, dead_at = NULL
             WHERE id = $1 AND (leased_until IS NULL OR leased_until <= $2)",
    );
    Ok(connection
        .into()
        .execute(statement.bind(id.as_uuid()).bind(now))
        .await?
        == 1)
}

/// Makes every dead message due now, and says how many there were.
///
/// # Errors
/// [`Error::Database`].
pub async fn retry_dead(
    connection: impl Into<Connection<'_>>,
    now: DateTime<Utc>,
) -> Result<u64, Error> {
    let statement = sql(
        "UPDATE guestlist_outbox SET run_at = $1, attempts = 0, faults = 0, dead_at = NULL WHERE dead_at IS NOT NULL",
    );
    Ok(connection.into().execute(statement.bind(now)).await?)
}

/// Deletes a message that nobody holds: its promise is broken on purpose.
///
/// # Errors
/// [`Error::Database`].
pub async fn discard(
    connection: impl Into<Connection<'_>>,
    now: DateTime<Utc>,
    id: MessageId,
) -> Result<bool, Error> {
    let statement = sql("DELETE FROM guestlist_outbox
             WHERE id = $1 AND (leased_until IS NULL OR leased_until <= $2)");
    Ok(connection
        .into()
        .execute(statement.bind(id.as_uuid()).bind(now))
        .await?
        == 1)
}

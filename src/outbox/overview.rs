//! Reads of the outbox for operators, and commands on its messages.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::{COLUMNS, Message, Priority, State};
use crate::connection::{Lend, sql};
use crate::error::Error;
use crate::id::MessageId;

/// The number of messages of one kind and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Count {
    /// The kind of task.
    pub kind: String,
    /// The state.
    pub state: State,
    /// The number of messages.
    pub count: i64,
    /// The time at which the oldest was written.
    pub oldest_at: DateTime<Utc>,
}

/// Counts the messages by kind and state as of `now`.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(connection: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// for count in outbox::counts(&mut *connection, now).await? {
///     println!("{} {}: {}", count.kind, count.state, count.count);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn counts(connection: impl Lend<'_>, now: DateTime<Utc>) -> Result<Vec<Count>, Error> {
    let statement = sql(
        "SELECT kind, state, count(*) AS count, min(created_at) AS oldest_at FROM (
                 SELECT kind, created_at, CASE WHEN dead_at IS NOT NULL THEN 'dead'
                     WHEN leased_until > $1 THEN 'leased' ELSE 'ready' END AS state
                 FROM guestlist_outbox) AS messages
             GROUP BY kind, state ORDER BY kind, state",
    );
    Ok(connection.lend().fetch_all(statement.bind(now)).await?)
}

/// Counts the messages by kind and state as of `now`, at most `most` live and `most` dead ones, so
/// that the cost is bounded and the count may run every few seconds. With more messages it counts
/// only a part.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(connection: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// let counts = outbox::counts_within(&mut *connection, now, 10_000).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn counts_within(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    most: u32,
) -> Result<Vec<Count>, Error> {
    let statement = sql(
        "SELECT kind, state, count(*) AS count, min(created_at) AS oldest_at FROM (
                 SELECT * FROM (
                     SELECT kind, created_at,
                         CASE WHEN leased_until > $1 THEN 'leased' ELSE 'ready' END AS state
                     FROM guestlist_outbox WHERE dead_at IS NULL LIMIT $2) AS alive
                 UNION ALL
                 SELECT * FROM (
                     SELECT kind, created_at, 'dead' AS state
                     FROM guestlist_outbox WHERE dead_at IS NOT NULL LIMIT $2) AS dead) AS messages
             GROUP BY kind, state ORDER BY kind, state",
    );
    let statement = statement.bind(now).bind(i64::from(most));
    Ok(connection.lend().fetch_all(statement).await?)
}

/// The longest delay of a message whose age goes on. A longer one is a deferral that a worker of an earlier
/// release recorded, which does not know of ages.
const LONGEST_OWN_DELAY: TimeDelta = TimeDelta::hours(1);

/// Returns the time since which the message of this priority that has waited longest is due as of
/// `now`, leased or not; `None` if none is due. Two index look-ups.
///
/// A postponement moves this time only if the recipient's mail server asked for it, so the age of a
/// message that waits for the mail server or fails again and again keeps growing.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(connection: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// let oldest = outbox::oldest_due(&mut *connection, now, outbox::Priority::LETTER).await?;
/// let age = oldest.map(|due_since| now - due_since);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn oldest_due(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    priority: Priority,
) -> Result<Option<DateTime<Utc>>, Error> {
    let statement = sql("SELECT run_at FROM (
             SELECT run_at FROM guestlist_outbox
             WHERE dead_at IS NULL AND priority = $2 AND run_at <= $1
             ORDER BY run_at LIMIT 1) AS due
         UNION ALL
         SELECT late_since FROM (
             SELECT late_since FROM guestlist_outbox
             WHERE dead_at IS NULL AND priority = $2 AND late_since IS NOT NULL AND run_at <= $3
             ORDER BY late_since LIMIT 1) AS late");
    let statement = statement.bind(now).bind(priority.get());
    let statement = statement.bind(now + LONGEST_OWN_DELAY);
    let oldest: Vec<(DateTime<Utc>,)> = connection.lend().fetch_all(statement).await?;
    Ok(oldest.into_iter().map(|(since,)| since).min())
}

/// Returns the priorities that have a message due as of `now` and not leased, highest first. One
/// index look-up each, so a relay can poll it.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(connection: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// for priority in outbox::due(&mut *connection, now).await? {
///     // Lease messages of this priority.
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn due(connection: impl Lend<'_>, now: DateTime<Utc>) -> Result<Vec<Priority>, Error> {
    macro_rules! oldest {
        ($priority:literal) => {
            concat!(
                "(SELECT run_at FROM guestlist_outbox WHERE dead_at IS NULL AND priority = ",
                $priority,
                " AND run_at <= $1 AND (leased_until IS NULL OR leased_until <= $1)
                 ORDER BY run_at LIMIT 1) IS NOT NULL"
            )
        };
    }
    let statement = sql(concat!("SELECT ", oldest!("0"), ", ", oldest!("1")));
    let row: Option<(bool, bool)> = connection
        .lend()
        .fetch_optional(statement.bind(now))
        .await?;
    let (urgent, letters) = row.unwrap_or_default();
    let due = [(Priority::URGENT, urgent), (Priority::LETTER, letters)];
    Ok(due
        .into_iter()
        .filter_map(|(priority, is_due)| is_due.then_some(priority))
        .collect())
}

/// Lists messages in `state` after the id `after`, oldest first, at most `limit`.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(connection: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// let dead = outbox::list(&mut *connection, now, outbox::State::Dead, None, 100).await?;
/// for message in dead {
///     println!("{}: {}", message.id, message.last_error.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn list(
    connection: impl Lend<'_>,
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
        .lend()
        .fetch_all(sql(text).bind(now).bind(after).bind(i64::from(limit)))
        .await?)
}

/// Returns `true` if no message is due or leased as of `now`. One index look-up per priority,
/// however many wait.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(connection: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// if outbox::is_idle(&mut *connection, now).await? {
///     println!("nothing is due");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn is_idle(connection: impl Lend<'_>, now: DateTime<Utc>) -> Result<bool, Error> {
    // Ordered and limited, so that Postgres uses the index; for EXISTS it would read the table from
    // its beginning, past all rows deleted since the last vacuum.
    macro_rules! oldest {
        ($priority:literal) => {
            concat!(
                "(SELECT run_at FROM guestlist_outbox WHERE dead_at IS NULL AND priority = ",
                $priority,
                " AND run_at <= $1 ORDER BY run_at LIMIT 1)"
            )
        };
    }
    let statement = sql(concat!(
        "SELECT COALESCE(",
        oldest!("0"),
        ", ",
        oldest!("1"),
        ") IS NULL"
    ));
    let row: Option<(bool,)> = connection
        .lend()
        .fetch_optional(statement.bind(now))
        .await?;
    Ok(row.is_none_or(|(is_idle,)| is_idle))
}

/// Makes a dead or waiting message due now with all its attempts, and returns `true` if there was
/// one.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, MessageId, outbox};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>, message: MessageId) -> Result<(), Error> {
/// let is_retried = outbox::retry(&mut *tx, now, message).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn retry(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    id: MessageId,
) -> Result<bool, Error> {
    let statement = sql(concat!(
        "UPDATE guestlist_outbox SET run_at = $2, attempts = 0, faults = 0, refusals = 0,
                 refused_at = NULL, crashes = NULL, dead_at = NULL, letter_date = ",
        kept_letter_date!(),
        ",
                 late_since = CASE WHEN dead_at IS NULL THEN late_since END
             WHERE id = $1 AND (leased_until IS NULL OR leased_until <= $2)"
    ));
    Ok(connection
        .lend()
        .execute(statement.bind(id.as_uuid()).bind(now))
        .await?
        == 1)
}

/// Makes every dead message due now, and returns how many there were.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>) -> Result<(), Error> {
/// let retried = outbox::retry_dead(&mut *tx, now).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn retry_dead(connection: impl Lend<'_>, now: DateTime<Utc>) -> Result<u64, Error> {
    let statement = sql(concat!(
        "UPDATE guestlist_outbox SET run_at = $1, attempts = 0, faults = 0, refusals = 0,
                 refused_at = NULL, crashes = NULL, late_since = NULL, dead_at = NULL, letter_date = ",
        kept_letter_date!(),
        "
             WHERE dead_at IS NOT NULL"
    ));
    Ok(connection.lend().execute(statement.bind(now)).await?)
}

/// Deletes a message that is not leased; its task is then not carried out.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, MessageId, outbox};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>, message: MessageId) -> Result<(), Error> {
/// let is_discarded = outbox::discard(&mut *tx, now, message).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn discard(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    id: MessageId,
) -> Result<bool, Error> {
    let statement = sql("DELETE FROM guestlist_outbox
             WHERE id = $1 AND (leased_until IS NULL OR leased_until <= $2)");
    Ok(connection
        .lend()
        .execute(statement.bind(id.as_uuid()).bind(now))
        .await?
        == 1)
}

//! Settlement of messages: completed, postponed or given up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::Ticket;
use crate::connection::{Dialect, Lend, sql};
use crate::error::Error;
use crate::id::{InvitationId, MessageId};
use crate::smtp_reply_line::one_line;

/// A message whose effect is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completion {
    /// The message.
    pub message: MessageId,
    /// The invitation whose letter was sent, and the number of the letter.
    pub sent: Option<(InvitationId, i64)>,
}

impl From<MessageId> for Completion {
    fn from(message: MessageId) -> Self {
        Self {
            message,
            sent: None,
        }
    }
}

impl Completion {
    /// Makes the completion of a message by whose task the letter of this number was sent.
    pub fn of_letter(message: MessageId, invitation: InvitationId, letter: i64) -> Self {
        Self {
            message,
            sent: Some((invitation, letter)),
        }
    }
}

/// Deletes messages whose effect is confirmed, even if another worker holds them now, and records
/// the sent letters among them as [`Delivery::Sent`](crate::Delivery::Sent); a report on an older
/// letter, or on one that already failed for good, changes nothing. Returns the messages that still
/// existed, so that the caller records each effect once; the letter of any other is not recorded.
///
/// One statement on Postgres.
///
/// ```
/// # use guestlist::{Connection, Error, InvitationId, MessageId, outbox};
/// # async fn example(tx: &mut Connection<'_>, message: MessageId, id: InvitationId) -> Result<(), Error> {
/// let first_letter = 1;
/// let completion = outbox::Completion::of_letter(message, id, first_letter);
/// let completed = outbox::complete(&mut *tx, &[completion]).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NoTransaction`], [`Error::Database`].
pub async fn complete(
    connection: impl Lend<'_>,
    completions: &[Completion],
) -> Result<Vec<MessageId>, Error> {
    let mut connection = connection.lend();
    connection.require_transaction()?;
    if completions.is_empty() {
        return Ok(Vec::new());
    }
    let completed: Vec<(MessageId,)> = match connection.dialect() {
        // Postgres estimates a hundred rows for any JSON list, and would scan a small table for
        // them; the ids in an array make it use the index.
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            let statement = sql("WITH asked AS MATERIALIZED (
                     SELECT * FROM jsonb_to_recordset($1)
                         AS asked (message uuid, invitation uuid, letter bigint)),
                 done AS MATERIALIZED (
                     SELECT id AS done_id FROM guestlist_outbox
                     WHERE id = ANY (ARRAY (SELECT message FROM asked))
                     ORDER BY id FOR UPDATE),
                 sent AS (
                     UPDATE guestlist_invitations AS invitation
                     SET delivery = 'sent', delivery_detail = NULL
                     FROM asked
                     WHERE invitation.id = asked.invitation AND letters = asked.letter
                       AND delivery <> 'failed' AND asked.message IN (SELECT done_id FROM done)
                       AND invitation.id = ANY (ARRAY (SELECT asked.invitation FROM asked)))
                 DELETE FROM guestlist_outbox WHERE id = ANY (ARRAY (SELECT done_id FROM done))
                 RETURNING id");
            connection
                .fetch_all(statement.bind(as_json(completions)))
                .await?
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            let statement = sql(
                "UPDATE guestlist_invitations SET delivery = 'sent', delivery_detail = NULL
                 WHERE delivery <> 'failed' AND (id, letters) IN
                     (SELECT unhex(value ->> 'invitation'), value ->> 'letter' FROM json_each($1)
                      WHERE unhex(value ->> 'message') IN (SELECT id FROM guestlist_outbox))",
            );
            connection
                .execute(statement.bind(as_json(completions)))
                .await?;
            let statement = sql("DELETE FROM guestlist_outbox
                 WHERE id IN (SELECT unhex(value ->> 'message') FROM json_each($1)) RETURNING id");
            connection
                .fetch_all(statement.bind(as_json(completions)))
                .await?
        }
    };
    Ok(completed.into_iter().map(|(id,)| id).collect())
}

fn as_json(completions: &[Completion]) -> Json {
    let row = |completion: &Completion| {
        let (invitation, letter) = completion.sent.unzip();
        json!({
            "message": completion.message.as_uuid().simple(),
            "invitation": invitation.map(|id| id.as_uuid().simple()),
            "letter": letter,
        })
    };
    completions.iter().map(row).collect()
}

/// The cost of postponing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// No attempt: it was too early, or no mail server could be reached.
    Nothing,
    /// An attempt: the recipient's mail server asked to try again later.
    Attempt,
    /// An attempt that was refused for a reason that later attempts have to confirm.
    Refusal,
    /// An attempt and a fault, of which a message may have only a few: the task itself failed.
    Fault,
    /// No attempt: the task was not begun, because it has to be carried out alone.
    NotBegun,
}

/// Postpones a message until `now + after`, unless it was leased again or is postponed already: a
/// transaction whose commit was not answered can be repeated.
///
/// A delay that the recipient's mail server asked for moves the time at which the message is due. Any
/// other delay makes it late, so [`oldest_due`](super::oldest_due) goes on counting.
///
/// An attempt shows that the task ends no worker, so its [crashes](super::Message::crashes) are
/// forgotten.
///
/// `letter_date` is the [date](super::Message::date) of its letter, if the mail server was sent the
/// letter, or a part of it; the next attempt has the same date then, and otherwise that of its own
/// lease.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>, lease: outbox::Lease) -> Result<(), Error> {
/// let after = std::time::Duration::from_secs(5 * 60);
/// let (cost, why) = (outbox::Cost::Attempt, "451 try again later");
/// outbox::postpone(&mut *tx, lease.ticket, now, after, cost, why, None).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn postpone(
    connection: impl Lend<'_>,
    ticket: Ticket,
    now: DateTime<Utc>,
    after: Duration,
    cost: Cost,
    why: &str,
    letter_date: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_outbox
             SET run_at = $3, attempts = attempts + $4, faults = faults + $5, refusals = refusals + $6,
                 refused_at = COALESCE(refused_at, $7), last_error = $8,
                 late_since = CASE WHEN $9 > 0 THEN NULL ELSE COALESCE(late_since, run_at) END,
                 letter_date = COALESCE(letter_date, $10), leased_until = NULL, leased_at = NULL,
                 crashes = CASE WHEN $11 > 0 THEN crashes - $12 END
             WHERE id = $1 AND generation = $2 AND leased_until IS NOT NULL AND dead_at IS NULL");
    let statement = statement
        .bind(ticket.message.as_uuid())
        .bind(ticket.generation);
    connection
        .lend()
        .execute(
            statement
                .bind(now + after)
                .bind(i64::from(cost.is_attempt()))
                .bind(i64::from(cost == Cost::Fault))
                .bind(i64::from(cost == Cost::Refusal))
                .bind((cost == Cost::Refusal).then_some(now))
                .bind(one_line(why).as_str())
                .bind(i64::from(cost.is_of_recipient()))
                .bind(letter_date)
                .bind(i64::from(!cost.is_attempt()))
                .bind(i64::from(cost == Cost::Nothing)),
        )
        .await?;
    Ok(())
}

impl Cost {
    fn is_attempt(self) -> bool {
        !matches!(self, Self::Nothing | Self::NotBegun)
    }

    /// Returns `true` if the recipient's mail server caused the delay.
    fn is_of_recipient(self) -> bool {
        matches!(self, Self::Attempt | Self::Refusal)
    }
}

/// Gives a message up, unless it was leased again. It stays until an operator retries or discards
/// it. `letter_date` is that of [`postpone`].
///
/// ```
/// # use chrono::{DateTime, Utc};
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, now: DateTime<Utc>, lease: outbox::Lease) -> Result<(), Error> {
/// let why = "550 no such user";
/// outbox::give_up(&mut *tx, lease.ticket, now, why, None).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn give_up(
    connection: impl Lend<'_>,
    ticket: Ticket,
    now: DateTime<Utc>,
    why: &str,
    letter_date: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_outbox
             SET dead_at = $3, attempts = attempts + 1, last_error = $4,
                 letter_date = COALESCE(letter_date, $5), leased_until = NULL, leased_at = NULL
             WHERE id = $1 AND generation = $2 AND dead_at IS NULL");
    connection
        .lend()
        .execute(
            statement
                .bind(ticket.message.as_uuid())
                .bind(ticket.generation)
                .bind(now)
                .bind(one_line(why).as_str())
                .bind(letter_date),
        )
        .await?;
    Ok(())
}

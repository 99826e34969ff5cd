//! Workers that end while they carry out a message: how a message that ends them is told from others.
//!
//! A lease that expires shows only that its worker ended or that the dispatch was lost. From then on each
//! start of the message's task is counted before it begins, and the count is forgotten when the task
//! ends. Messages whose leases never expired cost no statement.

use serde_json::{Value as Json, json};

use super::Ticket;
use crate::connection::{Dialect, Lend, sql};
use crate::error::Error;

/// A message whose task was cut off when its worker stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interrupted {
    /// The lease.
    pub ticket: Ticket,
    /// `true` if the mail server was sent a part of the letter, which keeps its date then.
    pub was_begun: bool,
    /// `true` if the mail server may have accepted the letter. Its lease stays until it expires, as
    /// the answer may still be recorded.
    pub may_be_sent: bool,
}

impl Interrupted {
    /// Creates it from the lease and the progress of the letter.
    pub fn new(ticket: Ticket, was_begun: bool, may_be_sent: bool) -> Self {
        Self {
            ticket,
            was_begun,
            may_be_sent,
        }
    }
}

/// Counts the start of a task whose earlier lease expired as a [crash](super::Message::crashes), until
/// the message is settled. Returns `false` if the lease is lost.
///
/// ```
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, message: outbox::Message) -> Result<(), Error> {
/// if message.crashes.is_some() {
///     let is_held = outbox::begin_counted(&mut *tx, message.ticket()).await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn begin_counted(connection: impl Lend<'_>, ticket: Ticket) -> Result<bool, Error> {
    let statement = sql(
        "UPDATE guestlist_outbox SET crashes = COALESCE(crashes, 0) + 1
             WHERE id = $1 AND generation = $2 AND leased_until IS NOT NULL AND dead_at IS NULL",
    );
    let statement = statement
        .bind(ticket.message.as_uuid())
        .bind(ticket.generation);
    Ok(connection.lend().execute(statement).await? == 1)
}

/// Releases the leases of messages whose tasks were cut off, in one statement: they are due at once,
/// except letters that may be sent. Their worker has not ended because of them, so their crashes are
/// forgotten.
///
/// ```
/// # use guestlist::{Connection, Error, outbox};
/// # async fn example(tx: &mut Connection<'_>, lease: outbox::Lease) -> Result<(), Error> {
/// let refused = outbox::Interrupted::new(lease.ticket, false, false);
/// outbox::interrupt(&mut *tx, &[refused]).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn interrupt(
    connection: impl Lend<'_>,
    interrupted: &[Interrupted],
) -> Result<(), Error> {
    if interrupted.is_empty() {
        return Ok(());
    }
    let mut connection = connection.lend();
    macro_rules! released {
        ($rows:literal) => {
            concat!(
                "UPDATE guestlist_outbox AS message
                 SET crashes = NULL,
                     letter_date = CASE WHEN cut_off.begun > 0
                         THEN COALESCE(letter_date, leased_at, created_at) ELSE letter_date END,
                     leased_until = CASE WHEN cut_off.sent > 0 THEN leased_until END,
                     leased_at = CASE WHEN cut_off.sent > 0 THEN leased_at END
                 FROM ",
                $rows,
                " WHERE message.id = cut_off.message AND message.generation = cut_off.lease
                     AND message.dead_at IS NULL"
            )
        };
    }
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => released!(
            "jsonb_to_recordset($1) AS cut_off (message uuid, lease bigint, begun bigint, sent bigint)"
        ),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => released!(
            "(SELECT unhex(value ->> 'message') AS message, value ->> 'lease' AS lease,
                  value ->> 'begun' AS begun, value ->> 'sent' AS sent FROM json_each($1)) AS cut_off"
        ),
    };
    let row = |cut_off: &Interrupted| {
        json!({
            "message": cut_off.ticket.message.as_uuid().simple(),
            "lease": cut_off.ticket.generation,
            "begun": i64::from(cut_off.was_begun),
            "sent": i64::from(cut_off.may_be_sent),
        })
    };
    let rows: Json = interrupted.iter().map(row).collect();
    connection.execute(sql(text).bind(rows)).await?;
    Ok(())
}

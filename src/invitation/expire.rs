//! Expiry and reminders of invitations, run by the worker.

use chrono::{DateTime, Utc};

use super::{COLUMNS, Invitation, Status};
use crate::connection::{Connection, Dialect, Lend, sql};
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::id::{InvitationId, OrganizationId};
use crate::outbox::{self, Task};

macro_rules! expire_statement {
    ($lock:literal) => {
        const_format::concatcp!(
            "WITH due AS MATERIALIZED (
                 SELECT id AS due_id FROM guestlist_invitations
                 WHERE status = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 ",
            $lock,
            ")
             UPDATE guestlist_invitations SET status = 'expired', closed_at = $1
             FROM due WHERE id = due_id
             RETURNING ",
            COLUMNS
        )
    };
}

/// Records up to `limit` overdue invitations as expired, each with its event and the notice to its
/// inviter, and returns how many. They could not be accepted since their `expires_at`; this only
/// stores the status.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
/// let expired = worker::expire_due(&mut *tx, guestlist.now(), 100).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NoTransaction`], [`Error::Database`].
pub async fn expire_due(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<usize, Error> {
    let mut connection = connection.lend();
    connection.require_transaction()?;
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => expire_statement!("FOR UPDATE SKIP LOCKED"),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => expire_statement!(""),
    };
    let expired: Vec<Invitation> = connection
        .fetch_all(sql(text).bind(now).bind(i64::from(limit)))
        .await?;
    let events: Vec<_> = expired.iter().map(|expired| event(now, expired)).collect();
    Event::record_all(&mut connection, &events).await?;
    Ok(expired.len())
}

/// Closes one overdue invitation as expired and returns its event, which the caller writes.
pub(super) async fn close(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    invitation: &Invitation,
) -> Result<Event, Error> {
    let expired = invitation
        .close(connection, now, Status::Expired, None)
        .await?;
    Ok(event(now, &expired))
}

fn event(now: DateTime<Utc>, expired: &Invitation) -> Event {
    let before = Invitation {
        status: Status::Pending,
        ..expired.clone()
    };
    Event::new(
        now,
        expired.organization,
        EventKind::InvitationExpired,
        expired.id,
    )
    .before(before.facts())
    .after(expired.facts())
}

macro_rules! remind_statement {
    ($lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (
                 SELECT id AS due_id FROM guestlist_invitations
                 WHERE status = 'pending' AND reminded_at IS NULL AND expires_at > $1 AND expires_at <= $2
                 ORDER BY expires_at LIMIT $3 ",
            $lock,
            ")
             UPDATE guestlist_invitations SET reminded_at = $1
             FROM due WHERE id = due_id
             RETURNING id, organization_id, letters, delivery"
        )
    };
}

/// Queues a reminder for up to `limit` invitations that expire before `horizon` and whose letter
/// was sent, once each, and returns how many it examined.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
/// let now = guestlist.now();
/// let horizon = now + chrono::TimeDelta::days(1);
/// let examined = worker::remind_due(&mut *tx, now, horizon, 100).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::NoTransaction`], [`Error::Database`].
pub async fn remind_due(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    horizon: DateTime<Utc>,
    limit: u32,
) -> Result<usize, Error> {
    let mut connection = connection.lend();
    connection.require_transaction()?;
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => remind_statement!("FOR UPDATE SKIP LOCKED"),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => remind_statement!(""),
    };
    let statement = sql(text).bind(now).bind(horizon).bind(i64::from(limit));
    let due: Vec<(InvitationId, OrganizationId, i64, String)> =
        connection.fetch_all(statement).await?;
    let reminders: Vec<_> = due
        .iter()
        .filter(|(.., delivery)| delivery == super::Delivery::Sent.as_str())
        .map(|&(invitation, organization, letter, _)| {
            (organization, Task::SendReminder { invitation, letter })
        })
        .collect();
    outbox::push(&mut connection, now, &reminders).await?;
    Ok(due.len())
}

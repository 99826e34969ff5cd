//! A pause of all sending, which workers announce and readers of invitations see.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::FromRow;

use crate::connection::{Lend, sql};
use crate::error::Error;
use crate::smtp_reply_line::one_line;

/// The time after its next try during which a pause still counts. The try may take as long as the
/// mail server may take for its greeting and for its answers to EHLO and MAIL, five minutes each
/// (RFC 5321 section 4.5.3.2). A worker that has not renewed the pause by then is gone.
const GRACE: TimeDelta = TimeDelta::minutes(15);

/// The pause as a column of a statement that reads invitations. A single look-up for the whole
/// statement, because it depends on no row.
pub(crate) const UNTIL: &str = "(SELECT until FROM guestlist_mail_pause) AS mail_paused_until";

/// Returns `true` if a pause with its next try at `until` counts as of `now`.
pub(crate) fn counts(until: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    until > now - GRACE
}

/// A pause of all sending: no letter leaves, whatever its organization or recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct MailPause {
    /// The time at which it began.
    pub since: DateTime<Utc>,
    /// The mail server's words, or the fault. Addresses in it have to be masked.
    pub reason: String,
    /// The worker that announced it last.
    pub worker: String,
    /// The time at which that worker tries again.
    pub until: DateTime<Utc>,
}

/// Announces that no letter leaves until the worker tries again at `until`. Further announcements
/// move `until` and keep the time at which the pause began, unless the earlier pause counts no
/// longer.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>) -> Result<(), Error> {
/// let now = guestlist.now();
/// let (until, reason) = (now + chrono::TimeDelta::minutes(1), "535 5.7.8 bad credentials");
/// worker::pause_mail(&mut *tx, now, until, "worker-1", reason).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn pause_mail(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    worker: &str,
    reason: &str,
) -> Result<(), Error> {
    let statement = sql(
        "INSERT INTO guestlist_mail_pause (id, since, reason, worker, until) VALUES (1, $1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET reason = $2, worker = $3, until = $4,
             since = CASE WHEN guestlist_mail_pause.until > $5 THEN guestlist_mail_pause.since ELSE $1 END",
    );
    let reason = one_line(reason);
    let statement = statement.bind(now).bind(reason.as_str()).bind(worker);
    connection
        .lend()
        .execute(statement.bind(until).bind(now - GRACE))
        .await?;
    Ok(())
}

/// Ends the pause, whichever worker announced it, and returns `true` if there was one. A letter that
/// a mail server accepts is the reason to call it.
///
/// ```
/// # use guestlist::{Connection, Error, worker};
/// # async fn example(tx: &mut Connection<'_>) -> Result<(), Error> {
/// let was_paused = worker::resume_mail(&mut *tx).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn resume_mail(connection: impl Lend<'_>) -> Result<bool, Error> {
    let statement = sql("DELETE FROM guestlist_mail_pause");
    Ok(connection.lend().execute(statement).await? > 0)
}

/// Returns the pause that counts as of `now`; `None` if letters leave. A pause counts until 15
/// minutes after the worker's next try, so that a worker that died pauses nothing for ever.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>) -> Result<(), Error> {
/// if let Some(pause) = worker::mail_pause(&mut *connection, guestlist.now()).await? {
///     println!("no letter leaves: {}; next try at {}", pause.reason, pause.until);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn mail_pause(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
) -> Result<Option<MailPause>, Error> {
    let statement =
        sql("SELECT since, reason, worker, until FROM guestlist_mail_pause WHERE until > $1");
    let statement = statement.bind(now - GRACE);
    Ok(connection.lend().fetch_optional(statement).await?)
}

//! Suppressed addresses: their mail server said that the mailbox does not exist or is disabled.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::FromRow;

use crate::connection::{Connection, Lend, sql};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::page::{Page, Paging};

/// The time after which a suppression ends by itself. A mailbox may be made or enabled later. A
/// month bounds the letters to a mailbox that is still missing, which mail servers count against the
/// sender, to one a month.
pub(crate) const LIFETIME: TimeDelta = TimeDelta::days(30);

/// A suppressed address. No organization sends it a letter until the suppression ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Suppression {
    /// The address, in its canonical form.
    #[sqlx(rename = "email_key")]
    pub email: EmailAddress,
    /// The mail server's reply. For operators only: another organization may have caused it.
    pub reason: String,
    /// The time of the reply.
    pub at: DateTime<Utc>,
}

impl Suppression {
    /// Returns the time at which it ends by itself.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.at + LIFETIME
    }
}

/// Suppresses an address from now on; an earlier suppression is replaced.
pub(crate) async fn suppress(
    connection: &mut Connection<'_>,
    now: DateTime<Utc>,
    email: &EmailAddress,
    reason: &str,
) -> Result<(), Error> {
    let statement = sql(
        "INSERT INTO guestlist_suppressions (email_key, reason, at) VALUES ($1, $2, $3)
                         ON CONFLICT (email_key) DO UPDATE SET reason = $2, at = $3",
    );
    let email_key = email.canonical();
    connection
        .execute(statement.bind(email_key.as_str()).bind(reason).bind(now))
        .await?;
    Ok(())
}

/// Returns the suppression of an address as of `now`, or `None` if there is none.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>) -> Result<(), Error> {
/// let email = "bob@acme.example".parse()?;
/// if let Some(found) = worker::suppression(&mut *connection, guestlist.now(), &email).await? {
///     println!("no letter is sent: {}", found.reason);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn suppression(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    email: &EmailAddress,
) -> Result<Option<Suppression>, Error> {
    let statement = sql(
        "SELECT email_key, reason, at FROM guestlist_suppressions WHERE email_key = $1 AND at > $2",
    );
    let email_key = email.canonical();
    let statement = statement.bind(email_key.as_str()).bind(now - LIFETIME);
    Ok(connection.lend().fetch_optional(statement).await?)
}

/// Lists the addresses that are suppressed as of `now`, in alphabetical order.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, Paging, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>) -> Result<(), Error> {
/// let paging = Paging::first(100);
/// let page = worker::suppressions(&mut *connection, guestlist.now(), &paging).await?;
/// for suppression in page.items {
///     println!("{}: {}", suppression.email.as_str(), suppression.reason);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::InvalidCursor`], [`Error::Database`].
pub async fn suppressions(
    connection: impl Lend<'_>,
    now: DateTime<Utc>,
    paging: &Paging,
) -> Result<Page<Suppression>, Error> {
    let statement = sql("SELECT email_key, reason, at FROM guestlist_suppressions
         WHERE email_key > $1 AND at > $2 ORDER BY email_key LIMIT $3");
    let after: String = paging.key()?.unwrap_or_default();
    let statement = statement.bind(after).bind(now - LIFETIME);
    let statement = statement.bind(paging.fetch_limit());
    let items = connection.lend().fetch_all(statement).await?;
    Ok(Page::of(items, paging, |suppression: &Suppression| {
        suppression.email.canonical()
    }))
}

/// Ends the suppression of an address, and returns `true` if there was one.
///
/// ```
/// # use guestlist::{Connection, Error, worker};
/// # async fn example(tx: &mut Connection<'_>) -> Result<(), Error> {
/// let email = "bob@acme.example".parse()?;
/// let is_lifted = worker::lift_suppression(&mut *tx, &email).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn lift_suppression(
    connection: impl Lend<'_>,
    email: &EmailAddress,
) -> Result<bool, Error> {
    let email_key = email.canonical();
    let statement = sql("DELETE FROM guestlist_suppressions WHERE email_key = $1");
    let statement = statement.bind(email_key.as_str());
    Ok(connection.lend().execute(statement).await? > 0)
}

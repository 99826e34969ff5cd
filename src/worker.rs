//! Functions for a worker, beside the [`outbox`](crate::outbox): sweeps, deliveries and ended
//! sessions.
//!
//! Hosts do not call these. They are public for the worker that comes with Guestlist and for other
//! workers.

mod invitation_letter;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::clock::Clock;
use crate::connection::{Dialect, Lend, sql};
use crate::database::{Database, Transaction};
use crate::error::Error;
use crate::guestlist::Guestlist;

pub use self::invitation_letter::{LetterFacts, grant_holds, letter_facts};
pub use crate::attempt::{
    accepted_since, delete_old_attempts, record_attempts, record_attempts_again,
};
pub use crate::invitation::{DeliveryReport, expire_due, record_delivery, remind_due};
pub use crate::mail_pause::{MailPause, mail_pause, pause_mail, resume_mail};
pub use crate::read_only::{ReadOnly, read_only};
pub use crate::retention::{
    delete_closed_invitations, delete_expired_suppressions, delete_old_events, delete_old_letters,
};
pub use crate::right::{Right, missing_rights};
pub use crate::session::{
    EndedSession, ended as ended_sessions, forget_ended as forget_ended_sessions,
};
pub use crate::suppression::{Suppression, lift_suppression, suppression, suppressions};
pub use crate::tried_letters::{TriedLetters, tried_letters};

#[cfg(feature = "postgres")]
const YIELDING: &str = "BEGIN; SET LOCAL lock_timeout = '500ms';
    SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Begins a transaction that gives way to those of hosts. On Postgres it waits half a second for a
/// row and then fails with [`Error::Conflict`], to be run again. It ends after five seconds without
/// a statement: Postgres does not notice a connection that was lost silently, and its rows would
/// stay locked for hours.
///
/// A worker changes many invitations at once, in an order unknown to hosts. If a worker and a host
/// wait for each other, the worker gives up first, since Postgres checks for a deadlock only after
/// a second (`deadlock_timeout`). SQLite has one writer at a time and no waits for rows.
///
/// ```
/// # use guestlist::{Database, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, database: Database) -> Result<(), Error> {
/// let mut tx = worker::begin(&database).await?;
/// worker::expire_due(&mut tx, guestlist.now(), 100).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`] when no connection is free in time or the database does not answer.
pub async fn begin(database: &Database) -> Result<Transaction, Error> {
    match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => Ok(Transaction::Postgres(pool.begin_with(YIELDING).await?)),
        #[cfg(feature = "postgres")]
        Database::PostgresPooler(pool) => Ok(Transaction::PostgresPooler(
            pool.begin_with(YIELDING).await?,
        )),
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) => database.begin().await,
    }
}

/// Returns the id of the installation, the same for every worker of this database. A migration
/// created it. A copy of the database has the same id.
///
/// ```
/// # use guestlist::{Connection, Error, worker};
/// # async fn example(connection: &mut Connection<'_>) -> Result<(), Error> {
/// let installation = worker::installation(&mut *connection).await?;
/// let queue = format!("guestlist:{installation}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn installation(connection: impl Lend<'_>) -> Result<Uuid, Error> {
    let row: Option<(Uuid,)> = connection
        .lend()
        .fetch_optional(sql("SELECT id FROM guestlist_installation"))
        .await?;
    Ok(row.map(|(id,)| id).unwrap_or_default())
}

/// Returns how far the configured clock is ahead of the database's, or behind it if negative.
///
/// An SQLite file uses the machine's clock; with a manual clock the result is zero.
///
/// ```
/// # use guestlist::{Connection, Error, Guestlist, worker};
/// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>) -> Result<(), Error> {
/// let skew = worker::clock_skew(&guestlist, &mut *connection).await?;
/// if skew.abs() > chrono::TimeDelta::seconds(1) {
///     println!("the clock is {} ms ahead of the database's", skew.num_milliseconds());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Database`].
pub async fn clock_skew(
    guestlist: &Guestlist,
    connection: impl Lend<'_>,
) -> Result<TimeDelta, Error> {
    if matches!(guestlist.clock(), Clock::Manual(_)) {
        return Ok(TimeDelta::zero());
    }
    let mut connection = connection.lend();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => "SELECT clock_timestamp()",
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
    };
    // The database read its clock at some moment between the two reads of ours; use the middle.
    let asked = guestlist.now();
    let row: Option<(DateTime<Utc>,)> = connection.fetch_optional(sql(text)).await?;
    let midpoint = asked + (guestlist.now() - asked) / 2;
    Ok(midpoint - row.map_or_else(Utc::now, |(time,)| time))
}

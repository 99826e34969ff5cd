//! What a worker needs beside the [`outbox`](crate::outbox): sweeps, deliveries and ended sessions.
//!
//! Hosts do not call these; they are here for the worker that is shipped with Guestlist and for
//! whoever writes another.

mod invitation_letter;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::clock::Clock;
use crate::connection::{Dialect, Lend, sql};
use crate::database::{Database, Transaction};
use crate::error::Error;
use crate::guestlist::Guestlist;

pub use self::invitation_letter::{LetterFacts, grant_holds, letter_facts};
pub use crate::invitation::{
    DeliveryReport, expire_due, lift_suppression, record_delivery, record_sent, remind_due,
    suppression,
};
pub use crate::retention::{delete_closed_invitations, delete_old_events, delete_old_letters};
pub use crate::session::{
    EndedSession, ended as ended_sessions, forget_ended as forget_ended_sessions,
};

/// Begins a transaction that gives way to those of hosts: on Postgres it waits half a second for a
/// row and then fails with [`Error::Conflict`], to be run again. Five seconds without a statement end
/// it: Postgres does not hear of a connection that fell silent, and its rows would stay locked for
/// hours.
///
/// A worker changes many invitations at once, in an order that no host knows. Should the two wait
/// for each other, it is the worker that gives up, since Postgres looks for a deadlock only after a
/// second (`deadlock_timeout`). SQLite has one writer at a time, so nobody waits for a row.
///
/// # Errors
/// [`Error::Database`] when no connection is free in time or the database does not answer.
pub async fn begin(database: &Database) -> Result<Transaction, Error> {
    match database {
        #[cfg(feature = "postgres")]
        Database::Postgres(pool) => {
            let begin = "BEGIN; SET LOCAL lock_timeout = '500ms';
                SET LOCAL idle_in_transaction_session_timeout = '5s'";
            Ok(Transaction::Postgres(pool.begin_with(begin).await?))
        }
        #[cfg(feature = "sqlite")]
        Database::Sqlite(_) => database.begin().await,
    }
}

/// Names the installation whose tables these are, the same for every worker of it: made by the first
/// migration that knew of it. A copy of the database has the same name.
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

/// How far the configured clock is ahead of the database's, or behind it where negative.
///
/// An SQLite file has the machine's clock, and a manual clock stands for both.
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
    // The answer was true at some moment in between.
    let asked = guestlist.now();
    let row: Option<(DateTime<Utc>,)> = connection.fetch_optional(sql(text)).await?;
    let midpoint = asked + (guestlist.now() - asked) / 2;
    Ok(midpoint - row.map_or_else(Utc::now, |(time,)| time))
}

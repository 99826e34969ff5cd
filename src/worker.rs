//! What a worker needs beside the [`outbox`](crate::outbox): sweeps, deliveries and ended sessions.
//!
//! Hosts do not call these; they are here for the worker that is shipped with Guestlist and for
//! whoever writes another.

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;
use crate::connection::{Connection, Dialect, sql};
use crate::error::Error;
use crate::organizations::Organizations;

pub use crate::invitation::{
    DeliveryReport, expire_due, lift_suppression, record_delivery, remind_due, suppression,
};
pub use crate::retention::{delete_closed_invitations, delete_old_events, delete_old_letters};
pub use crate::session::{
    EndedSession, ended as ended_sessions, forget_ended as forget_ended_sessions,
};

/// How far the configured clock is ahead of the database's, or behind it where negative.
///
/// An SQLite file has the machine's clock, and a manual clock stands for both.
///
/// # Errors
/// [`Error::Database`].
pub async fn clock_skew(
    library: &Organizations,
    connection: impl Into<Connection<'_>>,
) -> Result<TimeDelta, Error> {
    if matches!(library.clock(), Clock::Manual(_)) {
        return Ok(TimeDelta::zero());
    }
    let mut connection = connection.into();
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => "SELECT clock_timestamp()",
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
    };
    let row: Option<(DateTime<Utc>,)> = connection.fetch_optional(sql(text)).await?;
    Ok(library.now() - row.map_or_else(Utc::now, |(time,)| time))
}

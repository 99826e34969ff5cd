//! What a worker needs beside the [`outbox`](crate::outbox): sweeps, deliveries and ended sessions.
//!
//! Hosts do not call these; they are here for the worker that is shipped with Guestlist and for
//! whoever writes another.

use chrono::{DateTime, Utc};

use crate::connection::{Connection, Dialect, sql};
use crate::error::Error;

pub use crate::event::delete_old as delete_old_events;
pub use crate::invitation::{
    DeliveryReport, delete_closed as delete_closed_invitations, expire_due, lift_suppression,
    record_delivery, remind_due, suppression,
};
pub use crate::letter::delete_old as delete_old_letters;
pub use crate::session::{
    EndedSession, ended as ended_sessions, forget_ended as forget_ended_sessions,
};

/// What time the database has, to compare a worker's clock with. An SQLite file has the machine's.
///
/// # Errors
/// [`Error::Database`].
pub async fn database_time(connection: impl Into<Connection<'_>>) -> Result<DateTime<Utc>, Error> {
    let mut connection = connection.into();
    let row: Option<(DateTime<Utc>,)> = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            connection
                .fetch_optional(sql("SELECT clock_timestamp()"))
                .await?
        }
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => None,
    };
    Ok(row.map_or_else(Utc::now, |(time,)| time))
}

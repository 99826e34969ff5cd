//! The lock of an organization.

use chrono::{DateTime, Utc};

use crate::connection::{Connection, sql};
use crate::error::Error;
use crate::id::OrganizationId;

/// Proof that an organization is locked until the host's transaction ends, and what was read with
/// it. Rules that hold only under the lock ask for it.
#[derive(Debug)]
pub(crate) struct Lock {
    organization: OrganizationId,
    seats: Option<i64>,
}

impl Lock {
    pub(crate) fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// The seats the host gave this organization, if it gave it any of its own.
    pub(crate) fn seats(&self) -> Option<u32> {
        self.seats.and_then(|seats| seats.try_into().ok())
    }
}

/// Takes the one lock under which an organization's rules are checked and its rows are changed: a
/// row lock in Postgres, the write lock in SQLite.
///
/// Every change takes it before anything else, so two of one organization go one after the other
/// and neither waits for a row that the other holds.
pub(crate) async fn organization(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    now: DateTime<Utc>,
) -> Result<Lock, Error> {
    connection.require_transaction()?;
    let statement =
        sql("UPDATE guestlist_organizations SET updated_at = $2 WHERE id = $1 RETURNING seats");
    let row: Option<(Option<i64>,)> = connection
        .fetch_optional(statement.bind(organization.as_uuid()).bind(now))
        .await?;
    let (seats,) = row.ok_or(Error::NotFound)?;
    Ok(Lock {
        organization,
        seats,
    })
}

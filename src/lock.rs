//! The lock of an organization.

use chrono::{DateTime, Utc};

use crate::connection::{Connection, sql};
use crate::error::Error;
use crate::id::OrganizationId;

/// Proof that an organization is locked until the host's transaction ends, with the columns read by
/// the lock. Rules that are valid only under the lock take it as an argument.
#[derive(Debug)]
pub(crate) struct Lock {
    organization: OrganizationId,
    seats: Option<i64>,
}

impl Lock {
    pub(crate) fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// Returns the number of seats the host gave this organization, if it gave one.
    pub(crate) fn seats(&self) -> Option<u32> {
        self.seats.and_then(|seats| seats.try_into().ok())
    }
}

/// Locks an organization for checking its rules and changing its rows: a row lock in Postgres, the
/// write lock in SQLite.
///
/// Every change takes it first, so two changes of one organization run one after the other and
/// cannot deadlock.
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

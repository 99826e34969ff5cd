//! The lock of an organization.

use chrono::{DateTime, Utc};

use crate::connection::{Connection, sql};
use crate::error::Error;
use crate::id::OrganizationId;

/// Takes the one lock under which an organization's rules are checked: a row lock in Postgres, the
/// write lock in SQLite, held until the host's transaction ends.
pub(crate) async fn organization(
    connection: &mut Connection<'_>,
    id: OrganizationId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_organizations SET updated_at = $2 WHERE id = $1");
    match connection
        .execute(statement.bind(id.as_uuid()).bind(now))
        .await?
    {
        1 => Ok(()),
        _ => Err(Error::NotFound),
    }
}

//! Lists of invitations.

use super::{COLUMNS, Invitation, Status};
use crate::connection::{Connection, Lend, sql};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::OrganizationId;
use crate::page::{Page, Paging};

/// The invitations to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// Only those that have this status now.
    Only(Status),
}

/// Selects the invitations recorded as expired and the overdue ones, each in the order of its
/// index.
const EXPIRED: &str = const_format::formatcp!(
    "SELECT {COLUMNS} FROM (
         SELECT * FROM (SELECT {COLUMNS} FROM guestlist_invitations
             WHERE organization_id = $1 AND id > $2 AND status = 'expired' ORDER BY id LIMIT $3) AS recorded
         UNION ALL
         SELECT * FROM (SELECT {COLUMNS} FROM guestlist_invitations
             WHERE organization_id = $1 AND id > $2 AND status = 'pending' AND expires_at <= $4
             ORDER BY id LIMIT $3) AS overdue
     ) AS expired ORDER BY id LIMIT $3"
);

impl Guestlist {
    /// Lists the invitations of an organization, oldest first.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Filter, Guestlist, OrganizationId, Paging, Status};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
    /// let expired = Filter::Only(Status::Expired);
    /// let page = guestlist.invitations(&mut *connection, acme, expired, &Paging::first(50)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::Database`].
    pub async fn invitations(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        filter: Filter,
        paging: &Paging,
    ) -> Result<Page<Invitation>, Error> {
        macro_rules! list {
            ($condition:literal) => {
                sql(const_format::concatcp!(
                    "SELECT ",
                    COLUMNS,
                    " FROM guestlist_invitations WHERE organization_id = $1 AND id > $2",
                    $condition,
                    " ORDER BY id LIMIT $3"
                ))
            };
        }
        let now = self.now();
        let statement = match filter {
            Filter::All => list!(""),
            Filter::Only(Status::Pending) => list!(" AND status = 'pending' AND expires_at > $4"),
            Filter::Only(Status::Expired) => sql(EXPIRED),
            Filter::Only(_) => list!(" AND status = $4"),
        };
        let after: uuid::Uuid = paging.key()?.unwrap_or_default();
        let statement = statement
            .bind(organization.as_uuid())
            .bind(after)
            .bind(paging.fetch_limit());
        let statement = match filter {
            Filter::All => statement,
            Filter::Only(Status::Pending | Status::Expired) => statement.bind(now),
            Filter::Only(status) => statement.bind(status.as_str()),
        };
        let items = connection.lend().fetch_all(statement).await?;
        let page = Page::of(items, paging, |invitation: &Invitation| {
            invitation.id.to_string()
        });
        Ok(page.map(|invitation| invitation.seen_at(now)))
    }

    /// Lists the open invitations of an organization, oldest first.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, Paging};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
    /// let page = guestlist.pending(&mut *connection, acme, &Paging::first(50)).await?;
    /// for invitation in page.items {
    ///     println!("{} is open until {}", invitation.email, invitation.expires_at);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::Database`].
    pub async fn pending(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Invitation>, Error> {
        self.invitations(
            connection,
            organization,
            Filter::Only(Status::Pending),
            paging,
        )
        .await
    }
}

/// Reads the invitations of an address that are stored as pending, in every organization, ordered
/// by organization.
pub(crate) async fn find_open_anywhere(
    connection: &mut Connection<'_>,
    email: &EmailAddress,
) -> Result<Vec<Invitation>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_invitations
         WHERE email_key = $1 AND status = 'pending' ORDER BY organization_id"
    );
    let email_key = email.canonical();
    Ok(connection
        .fetch_all(sql(FIND).bind(email_key.as_str()))
        .await?)
}

//! Lists of an organization's members and of a user's memberships.

use chrono::{DateTime, Datelike, Utc};

use super::{COLUMNS, Membership};
use crate::connection::{Lend, Statement, sql};
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};
use crate::page::{Page, Paging};

impl Guestlist {
    /// Lists the members of an organization, suspended ones included, by the time they joined.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, Paging};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
    /// let page = guestlist.members(&mut *connection, acme, &Paging::first(50)).await?;
    /// for member in page.items {
    ///     println!("{} is {}", member.email, member.role);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::Database`].
    pub async fn members(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Membership>, Error> {
        const LIST: &str = const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_memberships
             WHERE organization_id = $1 AND (joined_at, user_id) > ($2, $3)
             ORDER BY joined_at, user_id LIMIT $4"
        );
        let MemberKey(joined_at, user) = paging.key()?.unwrap_or_default();
        let statement = sql(LIST)
            .bind(organization.as_uuid())
            .bind(joined_at)
            .bind(user.as_str());
        let members = self
            .fetch_memberships(connection, statement.bind(paging.fetch_limit()))
            .await?;
        Ok(Page::of(members, paging, |member: &Membership| {
            format!("{}:{}", member.joined_at.timestamp_micros(), member.user)
        }))
    }

    /// Lists the memberships of a user that are not suspended, by organization id.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, Paging, UserId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, bob: UserId) -> Result<(), Error> {
    /// let page = guestlist.memberships(&mut *connection, &bob, &Paging::first(50)).await?;
    /// for membership in page.items {
    ///     println!("{} as {}", membership.organization, membership.role);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::Database`].
    pub async fn memberships(
        &self,
        connection: impl Lend<'_>,
        user: &UserId,
        paging: &Paging,
    ) -> Result<Page<Membership>, Error> {
        const LIST: &str = const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_memberships
             WHERE user_id = $1 AND organization_id > $2 AND suspended_at IS NULL ORDER BY organization_id LIMIT $3"
        );
        let after: uuid::Uuid = paging.key()?.unwrap_or_default();
        let statement = sql(LIST)
            .bind(user.as_str())
            .bind(after)
            .bind(paging.fetch_limit());
        let items = self.fetch_memberships(connection, statement).await?;
        Ok(Page::of(items, paging, |membership: &Membership| {
            membership.organization.to_string()
        }))
    }

    async fn fetch_memberships(
        &self,
        connection: impl Lend<'_>,
        statement: Statement<'_>,
    ) -> Result<Vec<Membership>, Error> {
        Ok(connection.lend().fetch_all(statement).await?)
    }
}

/// The start of a page of members. Parsing accepts only times and ids that both databases can
/// store, since a cursor may be forged.
#[derive(Default)]
struct MemberKey(DateTime<Utc>, String);

impl std::str::FromStr for MemberKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (micros, user) = text.split_once(':').ok_or(())?;
        let joined_at = micros
            .parse()
            .ok()
            .and_then(DateTime::from_timestamp_micros)
            .filter(|joined_at| (0..=9999).contains(&joined_at.year()))
            .ok_or(())?;
        let user: UserId = user.parse().map_err(drop)?;
        Ok(Self(joined_at, user.into()))
    }
}

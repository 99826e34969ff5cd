//! Access: the role of a user in an organization, unless they are suspended.

use crate::batched_query::{BatchedQuery, Rows, Tag};
use crate::connection::{Connection, Lend, Statement, sql};
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};
use crate::role::Role;
use crate::role_model::RoleModel;

/// A user's access to one organization, as of the read. A suspended member has none.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Access {
    /// The organization.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
    /// The role of the user there.
    pub role: Role,
    role_model: RoleModel,
}

impl Access {
    /// Returns `true` if the role carries `permission`.
    pub fn allows(&self, permission: &str) -> bool {
        self.role_model.allows(&self.role, permission)
    }
}

impl Guestlist {
    /// Authorizes a user in an organization: the check that a host makes once for each request. It
    /// reads the database once; [`Access::allows`] then answers any number of questions.
    ///
    /// `None` if the user is not a member or is suspended. Access ends at the commit that removes
    /// or suspends the member.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// let access = guestlist.access(&mut *connection, &bob, acme).await?;
    /// if access.is_some_and(|access| access.allows("inbox.reply")) {
    ///     // Show the form for a reply.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn access(
        &self,
        connection: impl Lend<'_>,
        user: &UserId,
        organization: OrganizationId,
    ) -> Result<Option<Access>, Error> {
        let role = role_of(&mut connection.lend(), organization, user).await?;
        Ok(role.map(|role| Access {
            organization,
            user: user.clone(),
            role,
            role_model: self.role_model().clone(),
        }))
    }
}

/// Reads the role of a member that is not suspended.
pub(crate) async fn role_of(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    user: &UserId,
) -> Result<Option<Role>, Error> {
    const ROLE: &str = const_format::concatcp!("SELECT role ", FROM_ACTIVE_MEMBER);
    let row: Option<(Role,)> = connection
        .fetch_optional(of_member(ROLE, organization, user))
        .await?;
    Ok(row.map(|(role,)| role))
}

/// Adds the same read to a batched query.
pub(crate) fn add_role_of<'a>(
    query: &mut BatchedQuery<'a>,
    organization: OrganizationId,
    user: &'a UserId,
) {
    const ROLE: &str =
        const_format::concatcp!("SELECT {tag}, NULL, role, NULL, NULL ", FROM_ACTIVE_MEMBER);
    query.add(Tag::ActorRole, of_member(ROLE, organization, user));
}

/// Returns the role that [`add_role_of`] read.
pub(crate) fn role_in(rows: &Rows) -> Result<Option<Role>, Error> {
    let role = rows.of(Tag::ActorRole).find_map(|row| row.value.as_deref());
    Ok(role.map(str::parse).transpose()?)
}

const FROM_ACTIVE_MEMBER: &str = "FROM guestlist_memberships
     WHERE organization_id = $1 AND user_id = $2 AND suspended_at IS NULL";

fn of_member<'a>(
    text: &'static str,
    organization: OrganizationId,
    user: &'a UserId,
) -> Statement<'a> {
    sql(text).bind(organization.as_uuid()).bind(user.as_str())
}

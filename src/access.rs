//! Access: the role of a user in an organization, unless they are suspended.

use crate::connection::{Connection, Lend, sql};
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
    let statement = sql("SELECT role FROM guestlist_memberships
         WHERE organization_id = $1 AND user_id = $2 AND suspended_at IS NULL");
    let statement = statement.bind(organization.as_uuid()).bind(user.as_str());
    let row: Option<(Role,)> = connection.fetch_optional(statement).await?;
    Ok(row.map(|(role,)| role))
}

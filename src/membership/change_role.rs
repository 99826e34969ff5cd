//! Changing what a member is.

use super::{Membership, keep_an_owner};
use crate::connection::Connection;
use crate::error::{Action, Error};
use crate::event::EventKind;
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};
use crate::role::Role;

impl Guestlist {
    /// Gives a member another role; the same role again is no change.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::UnknownRole`], [`Error::LastOwner`].
    pub async fn change_role(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        organization: OrganizationId,
        user: &UserId,
        role: &Role,
    ) -> Result<Membership, Error> {
        let mut connection = connection.into();
        let (lock, actor, member) = self
            .lock_pair(&mut connection, actor, organization, user)
            .await?;
        self.known_role(role)?;
        if member.role == *role {
            return Ok(member);
        }
        if !self
            .role_model()
            .may_change(&actor.role, &member.role, role)
        {
            return Err(Error::Forbidden {
                role: actor.role,
                action: Action::ChangeRole,
            });
        }
        keep_an_owner(&mut connection, &lock, self.role_model(), &member).await?;
        member
            .become_role(
                &mut connection,
                self.now(),
                &actor.user,
                role,
                EventKind::RoleChanged,
            )
            .await
    }

    /// Gives the kept role to another member; the actor steps down by one rank.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for whoever does not hold the kept role,
    /// [`Error::Suspended`] when the heir is.
    pub async fn transfer_ownership(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        organization: OrganizationId,
        to: &UserId,
    ) -> Result<Membership, Error> {
        let mut connection = connection.into();
        let (_, actor, member) = self
            .lock_pair(&mut connection, actor, organization, to)
            .await?;
        let (owner, below) = (self.role_model().keeps(), self.role_model().below_kept());
        if actor.role != *owner {
            return Err(Error::Forbidden {
                role: actor.role,
                action: Action::TransferOwnership,
            });
        }
        if actor.user == member.user {
            return Ok(member);
        }
        if member.is_suspended() {
            return Err(Error::Suspended);
        }
        let now = self.now();
        let by = actor.user.clone();
        let heir = if member.role == *owner {
            member
        } else {
            member
                .become_role(
                    &mut connection,
                    now,
                    &by,
                    owner,
                    EventKind::OwnershipTransferred,
                )
                .await?
        };
        if below != owner {
            actor
                .become_role(&mut connection, now, &by, below, EventKind::RoleChanged)
                .await?;
        }
        Ok(heir)
    }
}

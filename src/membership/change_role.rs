//! Changes of a member's role.

use super::{Membership, keep_an_owner};
use crate::acting::{ActingIn, Authority};
use crate::connection::Lend;
use crate::error::{Action, Error};
use crate::event::EventKind;
use crate::id::UserId;
use crate::role::Role;

impl ActingIn<'_> {
    /// Gives a member another role. The same role again is no change.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// let manager = "manager".parse()?;
    /// guestlist.act(&olivia).in_organization(acme).change_role(&mut *tx, &bob, &manager).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::UnknownRole`], [`Error::LastOwner`].
    pub async fn change_role(
        &self,
        connection: impl Lend<'_>,
        user: &UserId,
        role: &Role,
    ) -> Result<Membership, Error> {
        let mut connection = connection.lend();
        let guestlist = self.acting.guestlist;
        let (lock, authority, member) = self.lock_member(&mut connection, user).await?;
        guestlist.known_role(role)?;
        if member.role == *role {
            return Ok(member);
        }
        let model = guestlist.role_model();
        authority.require(Action::ChangeRole, |actor| {
            model.may_change(actor, &member.role, role)
        })?;
        keep_an_owner(&mut connection, &lock, model, &member).await?;
        let (now, attribution) = (guestlist.now(), self.acting.attribution());
        member
            .become_role(
                &mut connection,
                now,
                attribution,
                role,
                EventKind::RoleChanged,
            )
            .await
    }

    /// Gives the owner role to another member. A member that acts must hold it and steps down by
    /// one rank; if the host or an operator acts, nobody steps down.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// guestlist.act(&olivia).in_organization(acme).transfer_ownership(&mut *tx, &bob).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`] for a member without the owner role,
    /// [`Error::Suspended`] if the member `to` is suspended.
    pub async fn transfer_ownership(
        &self,
        connection: impl Lend<'_>,
        to: &UserId,
    ) -> Result<Membership, Error> {
        let mut connection = connection.lend();
        let guestlist = self.acting.guestlist;
        let (_, authority, heir) = self.lock_member(&mut connection, to).await?;
        let owner = guestlist.role_model().keeps();
        authority.require(Action::TransferOwnership, |role| role == owner)?;
        if self.acting.actor.user_id() == Some(to) {
            return Ok(heir);
        }
        if heir.is_suspended() {
            return Err(Error::Suspended);
        }
        let (now, attribution) = (guestlist.now(), self.acting.attribution());
        let heir = if heir.role == *owner {
            heir
        } else {
            let kind = EventKind::OwnershipTransferred;
            heir.become_role(&mut connection, now, attribution.clone(), owner, kind)
                .await?
        };
        let below = guestlist.role_model().below_kept();
        if let (Authority::Role(_), Some(actor)) = (&authority, self.acting.actor.user_id())
            && below != owner
            && let Some(actor) = super::find(&mut connection, self.organization, actor).await?
        {
            actor
                .become_role(
                    &mut connection,
                    now,
                    attribution,
                    below,
                    EventKind::RoleChanged,
                )
                .await?;
        }
        Ok(heir)
    }
}

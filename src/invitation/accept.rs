//! Accepting an invitation: the one way in.

use super::{Invitation, Status};
use crate::connection::Connection;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::membership::{self, Membership};
use crate::role::Role;
use crate::user::User;

impl Guestlist {
    /// Makes `user` a member by an invitation's token.
    ///
    /// The same user may do it again: they get the same membership, and nothing is written. A
    /// member whose role is higher, or may not be changed by who invited, keeps it, and one who is
    /// suspended stays so.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::LinkReplaced`], [`Error::InvitationClosed`],
    /// [`Error::InvitationExpired`], [`Error::WrongAccount`], [`Error::UnverifiedEmail`],
    /// [`Error::InviterLostRight`], [`Error::Suspended`], [`Error::NoSeat`].
    pub async fn accept(
        &self,
        connection: impl Into<Connection<'_>>,
        token: &str,
        user: &User,
    ) -> Result<Membership, Error> {
        let mut connection = connection.into();
        let (lock, invitation) = self.lock_by_token(&mut connection, token).await?;
        let current = membership::find(&mut connection, invitation.organization, &user.id).await?;
        let is_again = invitation.accepted_by.as_ref() == Some(&user.id);
        match current {
            Some(current) if is_again => return self.unless_suspended(current),
            _ => invitation.require_pending(self.now())?,
        }
        let granter = self.may_accept(&mut connection, &invitation, user).await?;
        let current = current
            .map(|current| self.unless_suspended(current))
            .transpose()?;
        if current.is_none() {
            self.room(&mut connection, &lock, 1).await?.for_invitee()?;
        }
        let membership = self
            .admit(&mut connection, &invitation, &granter, user, current)
            .await?;
        let after = invitation
            .close(
                &mut connection,
                self.now(),
                Status::Accepted,
                Some(&user.id),
            )
            .await?;
        let mut facts = after.facts();
        facts["member"] = membership.facts();
        Event::new(
            self.now(),
            invitation.organization,
            EventKind::InvitationAccepted,
            invitation.id,
        )
        .by(&user.id)
        .before(invitation.facts())
        .after(facts)
        .record(&mut connection)
        .await?;
        Ok(membership.under(self.role_model()))
    }

    fn unless_suspended(&self, current: Membership) -> Result<Membership, Error> {
        if current.is_suspended() {
            Err(Error::Suspended)
        } else {
            Ok(current.under(self.role_model()))
        }
    }

    async fn may_accept(
        &self,
        connection: &mut Connection<'_>,
        invitation: &Invitation,
        user: &User,
    ) -> Result<Membership, Error> {
        if invitation.email.canonical() != user.email.canonical() {
            return Err(Error::WrongAccount {
                invited: invitation.email.masked(),
            });
        }
        user.require_verified()?;
        let granter = self.granter(connection, invitation).await?;
        granter.ok_or(Error::InviterLostRight)
    }

    /// Whether who granted the invitation is still a member, not suspended, whose role may grant it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn grant_holds(
        &self,
        connection: impl Into<Connection<'_>>,
        invitation: &Invitation,
    ) -> Result<bool, Error> {
        let granter = self.granter(&mut connection.into(), invitation).await?;
        Ok(granter.is_some())
    }

    /// Who granted the invitation, as long as they may.
    async fn granter(
        &self,
        connection: &mut Connection<'_>,
        invitation: &Invitation,
    ) -> Result<Option<Membership>, Error> {
        let granter = self
            .membership(connection, invitation.organization, &invitation.granted_by)
            .await?;
        let model = self.role_model();
        Ok(granter.filter(|granter| model.may_invite(&granter.role, &invitation.role)))
    }

    /// A new membership, or the one there is, raised but never lowered.
    async fn admit(
        &self,
        connection: &mut Connection<'_>,
        invitation: &Invitation,
        granter: &Membership,
        user: &User,
        current: Option<Membership>,
    ) -> Result<Membership, Error> {
        let (now, role) = (self.now(), &invitation.role);
        let Some(current) = current else {
            let locale = user.locale.as_ref().unwrap_or(&invitation.locale).clone();
            let user = user.clone().speaking(locale);
            let membership = Membership::of(&user, invitation.organization, role.clone(), now);
            membership.insert(connection).await?;
            return Ok(membership);
        };
        if !self.raises(granter, &current.role, role) {
            return Ok(current);
        }
        current
            .become_role(connection, now, &granter.user, role, EventKind::RoleChanged)
            .await
    }

    /// Whether the invited role ranks above the one a member has, and who granted the invitation
    /// may make that change: an invitation is no way around the rules of changing roles.
    fn raises(&self, granter: &Membership, current: &Role, invited: &Role) -> bool {
        let model = self.role_model();
        model.rank(invited) > model.rank(current)
            && model.may_change(&granter.role, current, invited)
    }
}

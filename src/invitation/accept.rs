//! Acceptance of an invitation.

use super::{Invitation, Status};
use crate::access;
use crate::acting::Authority;
use crate::actor::{Actor, Grantor};
use crate::connection::{Connection, Lend};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::membership::{self, Membership};
use crate::role::Role;
use crate::suppression;
use crate::user::User;

impl Guestlist {
    /// Makes `user` a member by the token of an invitation.
    ///
    /// If the same user accepts again, they get the same membership and nothing is written. A
    /// member keeps their role if it is higher or if the inviter may not change it. A suspended
    /// member stays suspended.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, User};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, token: &str) -> Result<(), Error> {
    /// // The signed-in user, with an address that the host has verified.
    /// let bob = User::new("bob".parse()?, "bob@acme.example".parse()?);
    /// let membership = guestlist.accept(&mut *tx, token, &bob).await?;
    /// assert_eq!(membership.user, bob.id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::LinkReplaced`], [`Error::InvitationClosed`],
    /// [`Error::InvitationExpired`], [`Error::WrongAccount`], [`Error::UnverifiedEmail`],
    /// [`Error::InviterLostRight`], [`Error::Suspended`], [`Error::NoSeat`].
    pub async fn accept(
        &self,
        connection: impl Lend<'_>,
        token: &str,
        user: &User,
    ) -> Result<Membership, Error> {
        let mut connection = connection.lend();
        let (lock, invitation) = self.lock_by_token(&mut connection, token).await?;
        let current = membership::find(&mut connection, invitation.organization, &user.id).await?;
        let is_again = invitation.accepted_by.as_ref() == Some(&user.id);
        match current {
            Some(current) if is_again => return self.unless_suspended(current),
            _ => invitation.require_pending(self.now())?,
        }
        let grantor = self.may_accept(&mut connection, &invitation, user).await?;
        let current = current
            .map(|current| self.unless_suspended(current))
            .transpose()?;
        if current.is_none() {
            let seats = self.seat_count(&mut connection, &lock, 1).await?;
            seats.for_invitee()?;
        }
        let membership = self
            .admit(&mut connection, &invitation, &grantor, user, current)
            .await?;
        let after = invitation
            .close(
                &mut connection,
                self.now(),
                Status::Accepted,
                Some(&user.id),
            )
            .await?;
        // Mail reaches the address, or reached it: the user has proved that the mailbox exists.
        suppression::lift_suppression(&mut connection, &invitation.email).await?;
        let mut facts = after.facts();
        facts["member"] = membership.facts();
        Event::new(
            self.now(),
            invitation.organization,
            EventKind::InvitationAccepted,
            invitation.id,
        )
        .by(self.attributed_to(Actor::member(&user.id)))
        .before(invitation.facts())
        .after(facts)
        .record(&mut connection)
        .await?;
        Ok(membership)
    }

    fn unless_suspended(&self, current: Membership) -> Result<Membership, Error> {
        if current.is_suspended() {
            Err(Error::Suspended)
        } else {
            Ok(current)
        }
    }

    async fn may_accept(
        &self,
        connection: &mut Connection<'_>,
        invitation: &Invitation,
        user: &User,
    ) -> Result<Authority, Error> {
        if invitation.email.canonical() != user.email.canonical() {
            return Err(Error::WrongAccount {
                invited: invitation.email.masked(),
            });
        }
        user.require_verified()?;
        let grantor = self.grantor(connection, invitation).await?;
        grantor.ok_or(Error::InviterLostRight)
    }

    /// Returns the authority that granted the invitation, if it still holds. A member loses it by
    /// leaving, by suspension or by losing the right to grant the role; the host and an operator do
    /// not lose it.
    pub(crate) async fn grantor(
        &self,
        connection: &mut Connection<'_>,
        invitation: &Invitation,
    ) -> Result<Option<Authority>, Error> {
        let Some(user) = invitation.granted_by.user_id() else {
            return Ok(Some(Authority::Unbound));
        };
        let role = access::role_of(connection, invitation.organization, user).await?;
        let model = self.role_model();
        let role = role.filter(|role| model.may_invite(role, &invitation.role));
        Ok(role.map(Authority::Role))
    }

    /// Makes a new membership, or raises the role of the existing one; it is never lowered.
    async fn admit(
        &self,
        connection: &mut Connection<'_>,
        invitation: &Invitation,
        grantor: &Authority,
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
        if !self.raises(grantor, &current.role, role) {
            return Ok(current);
        }
        current
            .become_role(
                connection,
                now,
                self.attributed_to(actor_of(&invitation.granted_by)),
                role,
                EventKind::RoleChanged,
            )
            .await
    }

    /// Returns `true` if the invited role ranks above the current one and the inviter may make that
    /// change: an invitation must not bypass the rules for changing roles.
    fn raises(&self, grantor: &Authority, current: &Role, invited: &Role) -> bool {
        let model = self.role_model();
        let may_change = |actor: &Role| model.may_change(actor, current, invited);
        model.rank(invited) > model.rank(current)
            && grantor.require(Action::ChangeRole, may_change).is_ok()
    }
}

/// Returns the actor of the change of role that an acceptance causes.
fn actor_of(grantor: &Grantor) -> Actor {
    let reason = || "accepted an invitation".parse().expect("a short text");
    match grantor {
        Grantor::Member(user) => Actor::Member(user.clone()),
        Grantor::Host => Actor::host(reason()),
        Grantor::Operator { name } => Actor::operator(name.clone(), reason()),
    }
}

//! Change of an open invitation's role.

use super::Invitation;
use crate::acting::Acting;
use crate::actor::Grantor;
use crate::connection::{Connection, Lend, sql};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::InvitationId;
use crate::role::Role;
use crate::seal::Seal;

impl Acting<'_> {
    /// Gives an open invitation another role. From then on it depends on the actor's right to grant
    /// that role. The mailed link leads to the new role, and no letter is sent. The same role again
    /// is no change.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, InvitationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, id: InvitationId) -> Result<(), Error> {
    /// let manager = "manager".parse()?;
    /// guestlist.act(&olivia).change_invitation_role(&mut *tx, id, &manager).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::UnknownRole`], [`Error::Forbidden`] unless the actor may grant
    /// the old role and the new one, [`Error::InvitationClosed`], [`Error::InvitationExpired`],
    /// [`Error::NoKey`].
    pub async fn change_invitation_role(
        &self,
        connection: impl Lend<'_>,
        id: InvitationId,
        role: &Role,
    ) -> Result<Invitation, Error> {
        let mut connection = connection.lend();
        let connection = &mut connection;
        let (guestlist, now) = (self.guestlist, self.guestlist.now());
        let (_, authority, before) = self.lock_invitation(connection, id).await?;
        guestlist.may_revoke(&authority, &before.role, Action::ChangeInvitationRole)?;
        guestlist.may_grant(&authority, role, Action::ChangeInvitationRole)?;
        before.require_pending(now)?;
        if before.role == *role {
            return Ok(before);
        }
        let after = Invitation {
            granted_by: Grantor::from(&self.actor),
            ..guestlist.lead_to(before.clone(), role)?
        };
        update(connection, &after).await?;
        Event::new(
            now,
            after.organization,
            EventKind::InvitationRoleChanged,
            after.id,
        )
        .by(self.attribution())
        .before(before.facts())
        .after(after.facts())
        .record(connection)
        .await?;
        Ok(after)
    }
}

impl Guestlist {
    /// Returns the invitation with another role and a seal that lets its link lead there.
    fn lead_to(&self, invitation: Invitation, role: &Role) -> Result<Invitation, Error> {
        let made_for = invitation.link().role;
        let (link_role, role_seal) = if made_for == *role {
            (None, None)
        } else {
            let key = self.key_ring().signing().ok_or(Error::NoKey)?;
            let canonical_email = invitation.email.canonical();
            let link = invitation.link();
            let claims = self.claims(&invitation, &canonical_email, &link);
            (Some(made_for), Some(Seal::of(key, claims, role)))
        };
        Ok(Invitation {
            role: role.clone(),
            link_role,
            role_seal,
            ..invitation
        })
    }

    /// Renews the seal of a changed role with the current signing key, because the old key may be
    /// retired before the renewed invitation expires. Returns `false` if no key of the ring made
    /// the seal: then the link opens nothing. A host without keys leaves the seal as it is.
    pub(super) fn seal_again(&self, invitation: &mut Invitation) -> bool {
        let (Some(key), Some(_)) = (self.key_ring().signing(), &invitation.link_role) else {
            return true;
        };
        let (link, canonical_email) = (invitation.link(), invitation.email.canonical());
        let claims = self.claims(invitation, &canonical_email, &link);
        let is_genuine = self.leads_to_its_role(invitation, claims);
        if is_genuine {
            invitation.role_seal = Some(Seal::of(key, claims, &invitation.role));
        }
        is_genuine
    }
}

async fn update(connection: &mut Connection<'_>, invitation: &Invitation) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_invitations
         SET role = $2, link_role = $3, role_seal = $4, granted_by = $5, granted_by_kind = $6 WHERE id = $1")
    .bind(invitation.id.as_uuid())
    .bind(invitation.role.as_str())
    .bind(invitation.link_role.as_ref().map(Role::as_str))
    .bind(invitation.role_seal.as_ref().map(Seal::as_bytes))
    .bind(invitation.granted_by.name())
    .bind(invitation.granted_by.kind());
    connection.execute(statement).await?;
    Ok(())
}

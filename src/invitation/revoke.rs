//! Withdrawing an invitation.

use super::{Invitation, Status};
use crate::connection::Connection;
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::{InvitationId, UserId};
use crate::membership;

impl Guestlist {
    /// Withdraws an open invitation: its link is refused from the host's commit on, and a letter
    /// that did not leave yet never does.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::InvitationClosed`],
    /// [`Error::InvitationExpired`].
    pub async fn revoke(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        id: InvitationId,
    ) -> Result<Invitation, Error> {
        let mut connection = connection.into();
        let (_, invitation) = self.lock_invitation(&mut connection, id).await?;
        let organization = invitation.organization;
        let actor = membership::require(&mut connection, organization, actor).await?;
        self.revokes(&actor.role, &invitation.role, Action::Revoke)?;
        invitation.require_pending(self.now())?;
        self.withdraw(&mut connection, Some(&actor.user), invitation)
            .await
    }

    /// Revokes an open invitation, locked and checked by who asks, and records it.
    async fn withdraw(
        &self,
        connection: &mut Connection<'_>,
        actor: Option<&UserId>,
        open: Invitation,
    ) -> Result<Invitation, Error> {
        let (revoked, event) = self.close_revoked(connection, actor, &open).await?;
        event.record(connection).await?;
        Ok(revoked)
    }

    /// Revokes an open invitation, locked and checked by who asks; the event is still to be written.
    pub(super) async fn close_revoked(
        &self,
        connection: &mut Connection<'_>,
        actor: Option<&UserId>,
        open: &Invitation,
    ) -> Result<(Invitation, Event), Error> {
        let now = self.now();
        let revoked = open.close(connection, now, Status::Revoked, None).await?;
        let event = Event::new(
            now,
            open.organization,
            EventKind::InvitationRevoked,
            open.id,
        );
        let event = event.by(actor).before(open.facts()).after(revoked.facts());
        Ok((revoked, event))
    }

    /// Revokes an invitation if it is open, on behalf of nobody; its organization is locked.
    pub(crate) async fn withdraw_open(
        &self,
        connection: &mut Connection<'_>,
        id: InvitationId,
    ) -> Result<Option<Invitation>, Error> {
        match super::find_locked(connection, id).await? {
            Some(open) if open.is_pending(self.now()) => {
                self.withdraw(connection, None, open).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

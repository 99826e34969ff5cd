//! Withdrawing an invitation.

use super::{Invitation, Status};
use crate::connection::Connection;
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::id::{InvitationId, UserId};
use crate::membership;
use crate::organizations::Organizations;

impl Organizations {
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
        let invitation = self.lock_invitation(&mut connection, id).await?;
        let member = membership::require(&mut connection, invitation.organization, actor).await?;
        if !self.role_model().may_invite(&member.role, &invitation.role) {
            return Err(Error::Forbidden {
                role: member.role,
                action: Action::Revoke,
            });
        }
        invitation.require_pending(self.now())?;
        let after = invitation
            .close(&mut connection, self.now(), Status::Revoked, None)
            .await?;
        self.tell_revoked(&mut connection, actor, &invitation, &after)
            .await?;
        Ok(after)
    }

    /// Revokes what a newer invitation supersedes, by the same actor's right.
    pub(super) async fn withdraw(
        &self,
        connection: &mut Connection<'_>,
        actor: &UserId,
        open: Invitation,
    ) -> Result<(), Error> {
        let member = membership::require(connection, open.organization, actor).await?;
        if !self.role_model().may_invite(&member.role, &open.role) {
            return Err(Error::Forbidden {
                role: member.role,
                action: Action::Revoke,
            });
        }
        let after = open
            .close(connection, self.now(), Status::Revoked, None)
            .await?;
        self.tell_revoked(connection, actor, &open, &after).await
    }

    async fn tell_revoked(
        &self,
        connection: &mut Connection<'_>,
        actor: &UserId,
        before: &Invitation,
        after: &Invitation,
    ) -> Result<(), Error> {
        Event::new(
            self.now(),
            before.organization,
            EventKind::InvitationRevoked,
            before.id,
        )
        .by(actor)
        .before(before.facts())
        .after(after.facts())
        .record(connection)
        .await
    }
}

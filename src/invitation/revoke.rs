//! Revocation of an invitation.

use super::{Invitation, Status};
use crate::acting::Acting;
use crate::actor::Attribution;
use crate::connection::{Connection, Lend};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::InvitationId;

impl Acting<'_> {
    /// Revokes an open invitation. Its link is refused from the host's commit on, and a letter that
    /// was not sent yet is not sent.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, InvitationId, Status};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, id: InvitationId) -> Result<(), Error> {
    /// let invitation = guestlist.act(&olivia).revoke(&mut *tx, id).await?;
    /// assert_eq!(invitation.status, Status::Revoked);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::InvitationClosed`],
    /// [`Error::InvitationExpired`].
    pub async fn revoke(
        &self,
        connection: impl Lend<'_>,
        id: InvitationId,
    ) -> Result<Invitation, Error> {
        let mut connection = connection.lend();
        let guestlist = self.guestlist;
        let (_, authority, invitation) = self.lock_invitation(&mut connection, id).await?;
        guestlist.may_revoke(&authority, &invitation.role, Action::Revoke)?;
        invitation.require_pending(guestlist.now())?;
        guestlist
            .withdraw(&mut connection, self.attribution(), invitation)
            .await
    }
}

impl Guestlist {
    /// Revokes an open invitation and writes the event. The caller has locked and checked it.
    async fn withdraw(
        &self,
        connection: &mut Connection<'_>,
        attribution: Attribution,
        open: Invitation,
    ) -> Result<Invitation, Error> {
        let (revoked, event) = self.close_revoked(connection, attribution, &open).await?;
        event.record(connection).await?;
        Ok(revoked)
    }

    /// Revokes an open invitation and returns its event, which the caller writes. The caller has
    /// locked and checked it.
    pub(super) async fn close_revoked(
        &self,
        connection: &mut Connection<'_>,
        attribution: Attribution,
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
        let event = event
            .by(attribution)
            .before(open.facts())
            .after(revoked.facts());
        Ok((revoked, event))
    }

    /// Revokes an invitation if it is open, without an actor. The caller has locked its organization.
    pub(crate) async fn withdraw_open(
        &self,
        connection: &mut Connection<'_>,
        id: InvitationId,
    ) -> Result<Option<Invitation>, Error> {
        match super::find_locked(connection, id).await? {
            Some(open) if open.is_pending(self.now()) => {
                let attribution = self.attributed_to(None);
                self.withdraw(connection, attribution, open).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

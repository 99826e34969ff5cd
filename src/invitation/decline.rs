//! Refusal of an invitation by the invitee.

use super::{Invitation, Status};
use crate::connection::Lend;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;

impl Guestlist {
    /// Declines an invitation by its token alone, without a signed-in user. Call it only on POST,
    /// since mail scanners follow links. Declining again is no change.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, Status};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, token: &str) -> Result<(), Error> {
    /// let declined = guestlist.decline(&mut *tx, token).await?;
    /// assert_eq!(declined.status, Status::Declined);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::LinkReplaced`], [`Error::InvitationClosed`],
    /// [`Error::InvitationExpired`].
    pub async fn decline(
        &self,
        connection: impl Lend<'_>,
        token: &str,
    ) -> Result<Invitation, Error> {
        let mut connection = connection.lend();
        let (_, invitation) = self.lock_by_token(&mut connection, token).await?;
        if invitation.status == Status::Declined {
            return Ok(invitation);
        }
        invitation.require_pending(self.now())?;
        let after = invitation
            .close(&mut connection, self.now(), Status::Declined, None)
            .await?;
        Event::new(
            self.now(),
            invitation.organization,
            EventKind::InvitationDeclined,
            invitation.id,
        )
        .before(invitation.facts())
        .after(after.facts())
        .record(&mut connection)
        .await?;
        Ok(after)
    }
}

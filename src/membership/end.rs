//! Ending a membership.

use super::keep_an_owner;
use crate::connection::Connection;
use crate::error::{Action, Error};
use crate::event::EventKind;
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};

impl Guestlist {
    /// Ends another member's membership. Their access ends with the host's commit; the sessions
    /// recorded for this organization are purged by the worker right after.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::LastOwner`].
    pub async fn remove(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<(), Error> {
        let mut connection = connection.into();
        let (lock, actor, member) = self
            .lock_pair(&mut connection, actor, organization, user)
            .await?;
        if !self.role_model().may_remove(&actor.role, &member.role) {
            return Err(Error::Forbidden {
                role: actor.role,
                action: Action::Remove,
            });
        }
        keep_an_owner(&mut connection, &lock, self.role_model(), &member).await?;
        member
            .end(
                &mut connection,
                self.now(),
                Some(&actor.user),
                EventKind::MemberRemoved,
            )
            .await
    }

    /// Ends one's own membership. Who is suspended does nothing here, so they cannot leave either.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::LastOwner`].
    pub async fn leave(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        organization: OrganizationId,
    ) -> Result<(), Error> {
        let mut connection = connection.into();
        let (lock, _, member) = self
            .lock_pair(&mut connection, actor, organization, actor)
            .await?;
        keep_an_owner(&mut connection, &lock, self.role_model(), &member).await?;
        member
            .end(
                &mut connection,
                self.now(),
                Some(actor),
                EventKind::MemberLeft,
            )
            .await
    }
}

//! Removal of members, and leaving.

use super::keep_an_owner;
use crate::acting::ActingIn;
use crate::connection::Lend;
use crate::error::{Action, Error};
use crate::event::EventKind;
use crate::id::UserId;

impl ActingIn<'_> {
    /// Ends a membership. Access ends with the host's commit; the worker then purges the sessions
    /// that were recorded for this organization.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// guestlist.act(&olivia).in_organization(acme).remove(&mut *tx, &bob).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::LastOwner`].
    pub async fn remove(&self, connection: impl Lend<'_>, user: &UserId) -> Result<(), Error> {
        let mut connection = connection.lend();
        let guestlist = self.acting.guestlist;
        let (lock, authority, member) = self.lock_member(&mut connection, user).await?;
        let model = guestlist.role_model();
        authority.require(Action::Remove, |actor| {
            model.may_remove(actor, &member.role)
        })?;
        keep_an_owner(&mut connection, &lock, model, &member).await?;
        let attribution = self.acting.attribution();
        member
            .end(
                &mut connection,
                guestlist.now(),
                attribution,
                EventKind::MemberRemoved,
            )
            .await
    }

    /// Ends the actor's own membership. A suspended member cannot leave.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, bob: Actor, acme: OrganizationId) -> Result<(), Error> {
    /// guestlist.act(&bob).in_organization(acme).leave(&mut *tx).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::LastOwner`], [`Error::NoMember`] for the host and an operator.
    pub async fn leave(&self, connection: impl Lend<'_>) -> Result<(), Error> {
        let mut connection = connection.lend();
        let guestlist = self.acting.guestlist;
        let user = self.acting.actor.user_id().ok_or(Error::NoMember)?;
        let (lock, _, member) = self.lock_member(&mut connection, user).await?;
        keep_an_owner(&mut connection, &lock, guestlist.role_model(), &member).await?;
        let attribution = self.acting.attribution();
        member
            .end(
                &mut connection,
                guestlist.now(),
                attribution,
                EventKind::MemberLeft,
            )
            .await
    }
}

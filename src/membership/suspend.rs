//! Suspension and reinstatement of members.

use chrono::{DateTime, Utc};

use super::{Membership, keep_an_owner};
use crate::acting::ActingIn;
use crate::connection::{Connection, Lend, sql};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::id::UserId;
use crate::lock::Lock;

impl ActingIn<'_> {
    /// Suspends a member: from the host's commit on they have no access, and their sessions of this
    /// organization are purged. Role and history stay, and the seat becomes free. Suspending needs
    /// the same right as removing. Suspending again is no change.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// let member = guestlist.act(&olivia).in_organization(acme).suspend(&mut *tx, &bob).await?;
    /// assert!(member.is_suspended());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::LastOwner`].
    pub async fn suspend(
        &self,
        connection: impl Lend<'_>,
        user: &UserId,
    ) -> Result<Membership, Error> {
        let mut connection = connection.lend();
        let guestlist = self.acting.guestlist;
        let (lock, member) = self
            .authorized(&mut connection, user, Action::Suspend)
            .await?;
        if member.is_suspended() {
            return Ok(member);
        }
        keep_an_owner(&mut connection, &lock, guestlist.role_model(), &member).await?;
        let now = guestlist.now();
        member.end_sessions(&mut connection, now).await?;
        self.set_suspended(&mut connection, member, Some(now)).await
    }

    /// Reinstates a suspended member in their role, if there is a seat that is neither taken nor
    /// reserved for an open invitation. No change for a member that is not suspended.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, OrganizationId, UserId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, bob: UserId, acme: OrganizationId) -> Result<(), Error> {
    /// let member = guestlist.act(&olivia).in_organization(acme).reinstate(&mut *tx, &bob).await?;
    /// assert!(!member.is_suspended());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::NoSeat`].
    pub async fn reinstate(
        &self,
        connection: impl Lend<'_>,
        user: &UserId,
    ) -> Result<Membership, Error> {
        let mut connection = connection.lend();
        let guestlist = self.acting.guestlist;
        let (lock, member) = self
            .authorized(&mut connection, user, Action::Reinstate)
            .await?;
        if !member.is_suspended() {
            return Ok(member);
        }
        let seats = guestlist.seat_count(&mut connection, &lock, 1).await?;
        seats.for_newcomer(false)?;
        self.set_suspended(&mut connection, member, None).await
    }

    async fn authorized(
        &self,
        connection: &mut Connection<'_>,
        user: &UserId,
        action: Action,
    ) -> Result<(Lock, Membership), Error> {
        let (lock, authority, member) = self.lock_member(connection, user).await?;
        let model = self.acting.guestlist.role_model();
        authority.require(action, |actor| model.may_remove(actor, &member.role))?;
        Ok((lock, member))
    }

    async fn set_suspended(
        &self,
        connection: &mut Connection<'_>,
        before: Membership,
        suspended_at: Option<DateTime<Utc>>,
    ) -> Result<Membership, Error> {
        let statement = sql("UPDATE guestlist_memberships SET suspended_at = $3
                             WHERE organization_id = $1 AND user_id = $2");
        let statement = statement
            .bind(before.organization.as_uuid())
            .bind(before.user.as_str())
            .bind(suspended_at);
        connection.execute(statement).await?;
        let kind = match suspended_at {
            Some(_) => EventKind::MemberSuspended,
            None => EventKind::MemberReinstated,
        };
        let after = Membership {
            suspended_at,
            ..before.clone()
        };
        let now = self.acting.guestlist.now();
        Event::new(now, before.organization, kind, &before.user)
            .by(self.acting.attribution())
            .before(before.facts())
            .after(after.facts())
            .record(connection)
            .await?;
        Ok(after)
    }
}

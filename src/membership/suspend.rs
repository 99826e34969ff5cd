//! Keeping a member out for a while.

use chrono::{DateTime, Utc};

use super::{Membership, keep_an_owner};
use crate::connection::{Connection, sql};
use crate::error::{Action, Error};
use crate::event::{Event, EventKind};
use crate::guestlist::Guestlist;
use crate::id::{OrganizationId, UserId};
use crate::role::Role;

impl Guestlist {
    /// Keeps a member out: from the host's commit on they have no access, and their sessions of
    /// this organization are purged. Role and history stay, and their seat is free. Whoever may
    /// remove a role may suspend its holders. Suspending again is no change.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::LastOwner`].
    pub async fn suspend(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Membership, Error> {
        let mut connection = connection.into();
        let (lock, actor, member) = self
            .lock_pair(&mut connection, actor, organization, user)
            .await?;
        self.may_suspend(&actor, &member.role, Action::Suspend)?;
        if member.is_suspended() {
            return Ok(member);
        }
        keep_an_owner(&mut connection, &lock, self.role_model(), &member).await?;
        let now = self.now();
        member.end_sessions(&mut connection, now).await?;
        member
            .become_suspended(
                &mut connection,
                now,
                &actor.user,
                Some(now),
                EventKind::MemberSuspended,
            )
            .await
    }

    /// Lets a suspended member in again, in the role they have, where a seat is free that no open
    /// invitation was promised. Where nobody is suspended it is no change.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::NoSeat`].
    pub async fn reinstate(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        organization: OrganizationId,
        user: &UserId,
    ) -> Result<Membership, Error> {
        let mut connection = connection.into();
        let (lock, actor, member) = self
            .lock_pair(&mut connection, actor, organization, user)
            .await?;
        self.may_suspend(&actor, &member.role, Action::Reinstate)?;
        if !member.is_suspended() {
            return Ok(member);
        }
        self.room(&mut connection, &lock, 1)
            .await?
            .for_newcomer(false)?;
        member
            .become_suspended(
                &mut connection,
                self.now(),
                &actor.user,
                None,
                EventKind::MemberReinstated,
            )
            .await
    }

    fn may_suspend(&self, actor: &Membership, role: &Role, action: Action) -> Result<(), Error> {
        if self.role_model().may_remove(&actor.role, role) {
            return Ok(());
        }
        Err(Error::Forbidden {
            role: actor.role.clone(),
            action,
        })
    }
}

impl Membership {
    async fn become_suspended(
        self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
        actor: &UserId,
        suspended_at: Option<DateTime<Utc>>,
        kind: EventKind,
    ) -> Result<Self, Error> {
        let statement = sql("UPDATE guestlist_memberships SET suspended_at = $3
                             WHERE organization_id = $1 AND user_id = $2");
        let statement = statement
            .bind(self.organization.as_uuid())
            .bind(self.user.as_str())
            .bind(suspended_at);
        connection.execute(statement).await?;
        let after = Self {
            suspended_at,
            ..self.clone()
        };
        Event::new(now, self.organization, kind, &self.user)
            .by(actor)
            .before(self.facts())
            .after(after.facts())
            .record(connection)
            .await?;
        Ok(after)
    }
}

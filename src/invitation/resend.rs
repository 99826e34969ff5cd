//! Resending of an invitation.

use serde_json::json;

use super::invite::find_open;
use super::{Delivery, Invitation, Status};
use crate::acting::Acting;
use crate::actor::Grantor;
use crate::batched_query::BatchedQuery;
use crate::connection::{Connection, Lend, sql};
use crate::error::{Action, Error, LimitKind};
use crate::event::{Event, EventKind};
use crate::guestlist::{Guestlist, ResendPolicy};
use crate::id::InvitationId;
use crate::letter_limits::{self, Letter, LetterLimits, whole_seconds};
use crate::membership;
use crate::outbox::{self, Task};
use crate::role::Role;
use crate::seal::Seal;
use crate::suppression;

impl Acting<'_> {
    /// Extends an open or expired invitation to its full lifetime from now and queues another
    /// letter. From then on it depends on the actor's right to grant its role.
    ///
    /// The earlier link keeps working while the invitation is open, unless the [`ResendPolicy`]
    /// says otherwise. It is always replaced after expiry, and if the invitation's role was changed
    /// under a key that is no longer in the ring.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, InvitationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, id: InvitationId) -> Result<(), Error> {
    /// let invitation = guestlist.act(&olivia).resend(&mut *tx, id).await?;
    /// println!("open until {}", invitation.expires_at);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::InvitationClosed`],
    /// [`Error::AlreadyPending`] if the address of an expired invitation was invited again
    /// meanwhile,
    /// [`Error::AlreadyMember`], [`Error::NoSeat`] for an expired one, [`Error::Throttled`].
    pub async fn resend(
        &self,
        connection: impl Lend<'_>,
        id: InvitationId,
    ) -> Result<Invitation, Error> {
        let mut connection = connection.lend();
        let (guestlist, now) = (self.guestlist, self.guestlist.now());
        let (lock, authority, before) = self.lock_invitation(&mut connection, id).await?;
        guestlist.may_grant(&authority, &before.role, Action::Resend)?;
        guestlist.may_resend(&mut connection, &before).await?;
        if !before.is_pending(now) {
            let seats = guestlist.seat_count(&mut connection, &lock, 1).await?;
            seats.for_newcomer(false)?;
        }
        let letters = [Letter {
            organization: before.organization,
            actor: self.actor.user_id(),
            recipient: &before.email,
        }];
        let mut limits =
            LetterLimits::read(&mut connection, guestlist.limits(), now, &letters).await?;
        limits.admit(&before.email)?;
        let after = guestlist.renew(Grantor::from(&self.actor), &before);
        update(&mut connection, &after).await?;
        if matches!(
            before.delivery,
            Delivery::Failed | Delivery::Bounced | Delivery::Suppressed
        ) {
            suppression::lift_suppression(&mut connection, &before.email).await?;
        }
        let event = Event::new(
            now,
            after.organization,
            EventKind::InvitationResent,
            after.id,
        )
        .by(self.attribution())
        .before(before.facts())
        .after(after.facts());
        let task = Task::SendInvitation {
            invitation: after.id,
            letter: after.letters,
        };
        let [event, notice] = Event::records(std::slice::from_ref(&event));
        let message = outbox::messages(now, &[(after.organization, task)]);
        let count = letter_limits::count_rows(guestlist.limits(), now, &letters);
        connection
            .insert(vec![event, notice, count, message])
            .await?;
        Ok(after)
    }
}

impl Guestlist {
    async fn may_resend(
        &self,
        connection: &mut Connection<'_>,
        invitation: &Invitation,
    ) -> Result<(), Error> {
        if !matches!(invitation.status, Status::Pending | Status::Expired) {
            return Err(Error::InvitationClosed {
                status: invitation.status,
            });
        }
        let (organization, key) = (invitation.organization, [invitation.email.canonical()]);
        let mut query = BatchedQuery::default();
        membership::add_joined_with(&mut query, organization, &key);
        let members = query.run(connection).await?;
        if let Some(user) = membership::members_in(&members)?.into_values().next() {
            return Err(Error::AlreadyMember { user });
        }
        if invitation.status == Status::Expired {
            let open = find_open(connection, organization, &key).await?;
            if let Some(open) = open.into_values().next() {
                return Err(Error::AlreadyPending {
                    invitation: open.id,
                });
            }
        }
        let wait = invitation.next_letter_at(self.limits().resend_interval) - self.now();
        if wait > chrono::TimeDelta::zero() {
            return Err(Error::Throttled {
                limit: LimitKind::Invitation,
                retry_after: whole_seconds(wait),
            });
        }
        Ok(())
    }

    fn renew(&self, granted_by: Grantor, before: &Invitation) -> Invitation {
        let now = self.now();
        let mut after = Invitation {
            status: Status::Pending,
            delivery: Delivery::Queued,
            delivery_detail: None,
            bounced_at: None,
            granted_by,
            letters: before.letters + 1,
            last_letter_at: now,
            expires_at: now + self.lifetime(),
            closed_at: None,
            ..before.clone()
        };
        let is_kept = before.is_pending(now) && self.resend_policy() == ResendPolicy::Keep;
        if !is_kept || !self.seal_again(&mut after) {
            after.rotate();
        }
        after
    }
}

async fn update(connection: &mut Connection<'_>, invitation: &Invitation) -> Result<(), Error> {
    let statement = sql("UPDATE guestlist_invitations
         SET status = $2, delivery = $3, delivery_detail = NULL, bounced_at = NULL, granted_by = $4, letters = $5, last_letter_at = $6,
             expires_at = $7, closed_at = NULL, reminded_at = NULL, nonce = $8, link_role = $9,
             role_seal = $10, replaced_links = $11, granted_by_kind = $12
         WHERE id = $1")
    .bind(invitation.id.as_uuid())
    .bind(invitation.status.as_str())
    .bind(invitation.delivery.as_str())
    .bind(invitation.granted_by.name())
    .bind(invitation.letters)
    .bind(invitation.last_letter_at)
    .bind(invitation.expires_at)
    .bind(invitation.nonce.as_slice())
    .bind(invitation.link_role.as_ref().map(Role::as_str))
    .bind(invitation.role_seal.as_ref().map(Seal::as_bytes))
    .bind(json!(invitation.replaced_links))
    .bind(invitation.granted_by.kind());
    connection.execute(statement).await?;
    Ok(())
}

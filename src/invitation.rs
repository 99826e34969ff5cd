//! Invitations: an address, a role and a time of expiry.

mod accept;
mod change_role;
mod decline;
mod delivery;
mod expire;
mod invite;
mod list;
mod open;
mod resend;
mod revoke;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sqlx::FromRow;

pub use self::delivery::{DeliveryReport, record_delivery};
pub use self::expire::{expire_due, remind_due};
pub use self::invite::{Invite, Outcome};
pub use self::list::Filter;
pub(crate) use self::list::find_open_anywhere;
use self::open::Link;
use crate::acting::{Acting, Authority};
use crate::actor::Grantor;
use crate::connection::{Connection, Dialect, Lend, sql};
use crate::email_address::EmailAddress;
use crate::error::{Action, Error};
use crate::guestlist::Guestlist;
use crate::id::{InvitationId, OrganizationId, UserId};
use crate::locale::Locale;
use crate::lock::{self, Lock};
use crate::mail_pause;
use crate::personal_message::PersonalMessage;
use crate::role::Role;
use crate::seal::Seal;
use crate::status::{Delivery, Status};

/// An offer of membership to an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Invitation {
    /// The id.
    pub id: InvitationId,
    /// The organization.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// The invited address.
    pub email: EmailAddress,
    /// The role that acceptance grants.
    pub role: Role,
    /// The language of the letters.
    pub locale: Locale,
    /// The personal message of the inviter.
    pub message: Option<PersonalMessage>,
    /// The stored status. For the status at a given time use [`Invitation::status_at`].
    pub status: Status,
    /// The delivery state of the newest letter, as of the time of the read.
    pub delivery: Delivery,
    /// The mail server's reply, or the reason why no letter was sent.
    pub delivery_detail: Option<String>,
    /// The time at which the newest letter came back.
    pub bounced_at: Option<DateTime<Utc>>,
    /// The actor whose right it depends on: the last one that invited, resent or changed the role.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub granted_by: Grantor,
    /// The user that accepted.
    pub accepted_by: Option<UserId>,
    /// The number of letters queued so far.
    pub letters: i64,
    /// The time at which the newest letter was queued.
    pub last_letter_at: DateTime<Utc>,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    /// The time from which it cannot be accepted any more, to the microsecond.
    pub expires_at: DateTime<Utc>,
    /// The time at which it was accepted, declined, revoked or recorded as expired.
    pub closed_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    nonce: Vec<u8>,
    /// The role the link was made for, if the invitation's role was changed since.
    #[serde(skip)]
    link_role: Option<Role>,
    #[serde(skip)]
    role_seal: Option<Seal>,
    #[serde(skip)]
    #[sqlx(json)]
    replaced_links: Vec<Link>,
    /// The time of the next try, if sending was paused for everybody at the time of the read.
    #[serde(skip)]
    mail_paused_until: Option<DateTime<Utc>>,
}

pub(crate) const COLUMNS: &str = const_format::concatcp!(
    "id, organization_id, email, role, locale, message, status, delivery, delivery_detail, bounced_at, \
                       granted_by, granted_by_kind, accepted_by, letters, last_letter_at, created_at, expires_at, closed_at, nonce, \
                       link_role, role_seal, replaced_links, ",
    mail_pause::UNTIL
);

const FIND: &str =
    const_format::formatcp!("SELECT {COLUMNS} FROM guestlist_invitations WHERE id = $1");

impl Invitation {
    /// Returns `true` if it can be accepted at `now`. The time decides, even if no worker has
    /// recorded the expiry yet.
    pub fn is_pending(&self, now: DateTime<Utc>) -> bool {
        self.status_at(now) == Status::Pending
    }

    /// Returns the status at `now`: an open invitation past its time is expired.
    pub fn status_at(&self, now: DateTime<Utc>) -> Status {
        if self.status == Status::Pending && now >= self.expires_at {
            Status::Expired
        } else {
            self.status
        }
    }

    /// Computes the delivery state as of `now`: a queued letter is paused while sending is paused for
    /// everybody, and a letter that failed after it was accepted has bounced.
    pub(crate) fn seen_at(mut self, now: DateTime<Utc>) -> Self {
        let is_paused = self
            .mail_paused_until
            .is_some_and(|until| mail_pause::counts(until, now));
        self.delivery = match self.delivery {
            Delivery::Queued if is_paused => Delivery::Paused,
            Delivery::Failed if self.bounced_at.is_some() => Delivery::Bounced,
            stored => stored,
        };
        self
    }

    /// Returns the fields that events store.
    fn facts(&self) -> Json {
        json!({ "email": self.email, "role": self.role, "status": self.status, "expires_at": self.expires_at })
    }

    /// Refuses an invitation that is not open, with the reason.
    fn require_pending(&self, now: DateTime<Utc>) -> Result<(), Error> {
        match self.status_at(now) {
            Status::Pending => Ok(()),
            Status::Expired => Err(Error::InvitationExpired {
                at: self.expires_at,
            }),
            status => Err(Error::InvitationClosed { status }),
        }
    }

    /// Closes it. Skips authorization: the caller must have checked it.
    async fn close(
        &self,
        connection: &mut Connection<'_>,
        now: DateTime<Utc>,
        status: Status,
        accepted_by: Option<&UserId>,
    ) -> Result<Self, Error> {
        let statement = sql(
            "UPDATE guestlist_invitations SET status = $2, closed_at = $3, accepted_by = $4 WHERE id = $1",
        );
        let statement = statement
            .bind(self.id.as_uuid())
            .bind(status.as_str())
            .bind(now);
        connection
            .execute(statement.bind(accepted_by.map(UserId::as_str)))
            .await?;
        Ok(Self {
            status,
            closed_at: Some(now),
            accepted_by: accepted_by.cloned(),
            ..self.clone()
        })
    }
}

impl Guestlist {
    /// Reads an invitation.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, InvitationId};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, id: InvitationId) -> Result<(), Error> {
    /// let invitation = guestlist.invitation(&mut *connection, id).await?;
    /// let is_open = invitation.is_some_and(|invitation| invitation.is_pending(guestlist.now()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn invitation(
        &self,
        connection: impl Lend<'_>,
        id: InvitationId,
    ) -> Result<Option<Invitation>, Error> {
        let found = find(&mut connection.lend(), id).await?;
        Ok(found.map(|invitation| invitation.seen_at(self.now())))
    }

    /// Refuses an actor that may not grant `role`. Inviting and every later operation on an
    /// invitation depends on this right.
    fn may_grant(&self, authority: &Authority, role: &Role, action: Action) -> Result<(), Error> {
        self.known_role(role)?;
        authority.require(action, |actor| self.role_model().may_invite(actor, role))
    }

    /// Refuses an actor that may neither revoke an invitation to `role` nor grant that role.
    fn may_revoke(&self, authority: &Authority, role: &Role, action: Action) -> Result<(), Error> {
        match authority.require(action, |actor| self.role_model().may_revoke(actor, role)) {
            Ok(()) => Ok(()),
            Err(_) => self.may_grant(authority, role, action),
        }
    }
}

impl Acting<'_> {
    /// Locks the organization of an invitation, then reads the invitation and the actor's
    /// authority.
    async fn lock_invitation(
        &self,
        connection: &mut Connection<'_>,
        id: InvitationId,
    ) -> Result<(Lock, Authority, Invitation), Error> {
        connection.require_transaction()?;
        let unlocked = find(connection, id).await?.ok_or(Error::NotFound)?;
        let (organization, now) = (unlocked.organization, self.guestlist.now());
        let lock = lock::organization(connection, organization, now).await?;
        let invitation = find_locked(connection, id).await?.ok_or(Error::NotFound)?;
        let invitation = invitation.seen_at(now);
        let authority = self.authority(connection, organization).await?;
        Ok((lock, authority, invitation))
    }
}

async fn find(
    connection: &mut Connection<'_>,
    id: InvitationId,
) -> Result<Option<Invitation>, Error> {
    Ok(connection
        .fetch_optional(sql(FIND).bind(id.as_uuid()))
        .await?)
}

/// Reads an invitation and locks its row until the host's transaction ends: the expiry sweep and
/// the recording of deliveries do not take the organization's lock.
pub(crate) async fn find_locked(
    connection: &mut Connection<'_>,
    id: InvitationId,
) -> Result<Option<Invitation>, Error> {
    let text = match connection.dialect() {
        #[cfg(feature = "postgres")]
        Dialect::Postgres => const_format::concatcp!(FIND, " FOR UPDATE"),
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => FIND,
    };
    Ok(connection
        .fetch_optional(sql(text).bind(id.as_uuid()))
        .await?)
}

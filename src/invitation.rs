//! Invitations: who may join, as what, until when.

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

pub use self::delivery::{
    DeliveryReport, lift_suppression, record_delivery, record_sent, suppression,
};
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
use crate::personal_message::PersonalMessage;
use crate::role::Role;
use crate::seal::Seal;
use crate::status::{Delivery, Status};

/// An offer of membership to an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Invitation {
    /// Names the invitation.
    pub id: InvitationId,
    /// Where to.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// Who is invited.
    #[sqlx(try_from = "String")]
    pub email: EmailAddress,
    /// As what.
    pub role: Role,
    /// In which language they are written to.
    pub locale: Locale,
    /// What the inviter added.
    pub message: Option<PersonalMessage>,
    /// What was recorded last; [`Invitation::status_at`] says what holds.
    #[sqlx(try_from = "String")]
    pub status: Status,
    /// How its newest letter fares.
    #[sqlx(try_from = "String")]
    pub delivery: Delivery,
    /// What the mail server said, or why no letter was sent.
    pub delivery_detail: Option<String>,
    /// The actor whose right it rests on: the last one that invited, resent it or changed its role.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub granted_by: Grantor,
    /// Who accepted.
    pub accepted_by: Option<UserId>,
    /// How many letters were promised.
    pub letters: i64,
    /// When the newest of them was promised.
    pub last_letter_at: DateTime<Utc>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it stops being acceptable, to the microsecond.
    pub expires_at: DateTime<Utc>,
    /// When it was accepted, declined, revoked or recorded as expired.
    pub closed_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    nonce: Vec<u8>,
    /// For which role the link was made, where that is another by now.
    #[serde(skip)]
    link_role: Option<Role>,
    #[serde(skip)]
    role_seal: Option<Seal>,
    #[serde(skip)]
    #[sqlx(json)]
    replaced_links: Vec<Link>,
}

pub(crate) const COLUMNS: &str = "id, organization_id, email, role, locale, message, status, delivery, delivery_detail, \
                       granted_by, granted_by_kind, accepted_by, letters, last_letter_at, created_at, expires_at, closed_at, nonce, \
                       link_role, role_seal, replaced_links";

const FIND: &str =
    const_format::formatcp!("SELECT {COLUMNS} FROM guestlist_invitations WHERE id = $1");

impl Invitation {
    /// Whether it can be accepted at `now`. Time decides, not whether a worker recorded it.
    pub fn is_pending(&self, now: DateTime<Utc>) -> bool {
        self.status_at(now) == Status::Pending
    }

    /// What holds at `now`: an open invitation whose time is over is expired.
    pub fn status_at(&self, now: DateTime<Utc>) -> Status {
        if self.status == Status::Pending && now >= self.expires_at {
            Status::Expired
        } else {
            self.status
        }
    }

    /// What events keep of it.
    fn facts(&self) -> Json {
        json!({ "email": self.email, "role": self.role, "status": self.status, "expires_at": self.expires_at })
    }

    /// Refuses what is not open, each with its own reason.
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
    /// # Errors
    /// [`Error::Database`].
    pub async fn invitation(
        &self,
        connection: impl Lend<'_>,
        id: InvitationId,
    ) -> Result<Option<Invitation>, Error> {
        find(&mut connection.lend(), id).await
    }

    /// Refuses an actor who may not grant `role`: the one right that inviting and everything done to an
    /// invitation rests on.
    fn may_grant(&self, authority: &Authority, role: &Role, action: Action) -> Result<(), Error> {
        self.known_role(role)?;
        authority.require(action, |actor| self.role_model().may_invite(actor, role))
    }

    /// Refuses an actor who may neither withdraw an invitation to `role` nor grant that role.
    fn may_revoke(&self, authority: &Authority, role: &Role, action: Action) -> Result<(), Error> {
        match authority.require(action, |actor| self.role_model().may_revoke(actor, role)) {
            Ok(()) => Ok(()),
            Err(_) => self.may_grant(authority, role, action),
        }
    }
}

impl Acting<'_> {
    /// Takes the lock of the organization an invitation belongs to, then reads the authority of the actor
    /// there and the invitation.
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

/// Reads an invitation as it is now and keeps it so until the host's transaction ends: the sweep
/// that expires and the worker that records a delivery take no organization's lock.
async fn find_locked(
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

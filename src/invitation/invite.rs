//! Inviting: the mutation everything begins with.

use chrono::{DateTime, Utc};

use super::link::new_nonce;
use super::{COLUMNS, Delivery, Invitation, Status, expire};
use crate::connection::{Connection, sql};
use crate::email_address::EmailAddress;
use crate::error::{Action, Error, Fault};
use crate::event::{Event, EventKind};
use crate::id::{InvitationId, OrganizationId, UserId};
use crate::letter::{self, Letter};
use crate::locale::Locale;
use crate::lock::{self, Lock};
use crate::membership;
use crate::organization::Seat;
use crate::organizations::Organizations;
use crate::outbox::{self, Task};
use crate::personal_message::PersonalMessage;
use crate::role::Role;

/// What to invite someone to.
#[derive(Debug, Clone)]
#[must_use = "nobody is invited until it is passed to `invite`"]
pub struct Invite {
    organization: OrganizationId,
    email: EmailAddress,
    role: Role,
    locale: Locale,
    message: Option<PersonalMessage>,
    superseding: bool,
}

impl Invite {
    /// Invites `email` to `organization` as `role`, in English and without words of one's own.
    pub fn new(organization: OrganizationId, email: EmailAddress, role: Role) -> Self {
        Self {
            organization,
            email,
            role,
            locale: Locale::default(),
            message: None,
            superseding: false,
        }
    }

    /// Sets the language of the letters.
    pub fn locale(self, locale: Locale) -> Self {
        Self { locale, ..self }
    }

    /// Adds words of one's own to the letter.
    pub fn message(self, message: PersonalMessage) -> Self {
        Self {
            message: Some(message),
            ..self
        }
    }

    /// Revokes the address's open invitation, if there is one, instead of being refused for it.
    pub fn superseding(self) -> Self {
        Self {
            superseding: true,
            ..self
        }
    }

    /// Who is invited.
    pub fn email(&self) -> &EmailAddress {
        &self.email
    }
}

/// What became of one of many invites.
pub type Outcome = Result<Invitation, Error>;

impl Organizations {
    /// Invites someone: writes the invitation, its event and the promise of its letter.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the actor is no member, [`Error::Forbidden`],
    /// [`Error::UnknownRole`], [`Error::AlreadyMember`], [`Error::AlreadyPending`],
    /// [`Error::NoSeat`], [`Error::Throttled`].
    pub async fn invite(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        invite: Invite,
    ) -> Result<Invitation, Error> {
        let mut connection = connection.into();
        let lock = lock::organization(&mut connection, invite.organization, self.now()).await?;
        self.invite_under(&mut connection, &lock, actor, invite)
            .await
    }

    /// Invites many, each on its own: one refused leaves the others as they are. The outcomes come
    /// in the order of the invites.
    ///
    /// Batches of one organization go one after the other, under its lock, and in the order of
    /// their addresses: so two with people in common run into no deadlock, and each sees how many
    /// letters the other promised.
    ///
    /// # Errors
    /// [`Error::NoTransaction`], [`Error::Conflict`] and [`Error::Database`], after which nothing of
    /// the batch may stay.
    pub async fn invite_all(
        &self,
        connection: impl Into<Connection<'_>>,
        actor: &UserId,
        invites: Vec<Invite>,
    ) -> Result<Vec<Outcome>, Error> {
        let mut connection = connection.into();
        connection.require_transaction()?;
        let mut invites: Vec<_> = invites.into_iter().enumerate().collect();
        invites.sort_by_cached_key(|(_, invite)| (invite.organization, invite.email.canonical()));
        let mut outcomes = Vec::with_capacity(invites.len());
        for batch in invites.chunk_by(|(_, one), (_, other)| one.organization == other.organization)
        {
            outcomes.extend(self.invite_batch(&mut connection, actor, batch).await?);
        }
        outcomes.sort_by_key(|(place, _)| *place);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Invites to one organization, under its lock.
    async fn invite_batch(
        &self,
        connection: &mut Connection<'_>,
        actor: &UserId,
        batch: &[(usize, Invite)],
    ) -> Result<Vec<(usize, Outcome)>, Error> {
        let organization = batch[0].1.organization;
        let lock = match lock::organization(connection, organization, self.now()).await {
            Err(Error::NotFound) => {
                let unknown = batch
                    .iter()
                    .map(|(place, _)| (*place, Err(Error::NotFound)));
                return Ok(unknown.collect());
            }
            locked => locked?,
        };
        let mut outcomes = Vec::with_capacity(batch.len());
        for (place, invite) in batch {
            let outcome = self
                .invite_under(connection, &lock, actor, invite.clone())
                .await;
            match outcome {
                Err(fault) if fault.fault() == Fault::Infrastructure => return Err(fault),
                outcome => outcomes.push((*place, outcome)),
            }
        }
        Ok(outcomes)
    }

    async fn invite_under(
        &self,
        connection: &mut Connection<'_>,
        lock: &Lock,
        actor: &UserId,
        invite: Invite,
    ) -> Result<Invitation, Error> {
        let grant = (invite.organization, &invite.role);
        self.may_grant(connection, actor, grant, Action::Invite)
            .await?;
        if let Some(member) =
            membership::find_by_email(connection, invite.organization, &invite.email).await?
        {
            return Err(Error::AlreadyMember { user: member.user });
        }
        let open = find_open(connection, invite.organization, &invite.email).await?;
        self.may_replace(&invite, open.as_ref())?;
        self.require_seat(connection, lock, Seat::Invitation(&invite.email))
            .await?;
        let letter = Letter {
            organization: invite.organization,
            actor,
            recipient: &invite.email,
        };
        letter::check(connection, self.limits(), self.now(), letter).await?;
        if let Some(open) = open {
            self.make_room(connection, actor, open).await?;
        }
        let invitation = self.draft(actor, invite);
        insert(connection, &invitation).await?;
        self.announce(connection, actor, &invitation).await?;
        Ok(invitation)
    }

    /// Refuses to touch an invitation that is open and not to be superseded.
    fn may_replace(&self, invite: &Invite, open: Option<&Invitation>) -> Result<(), Error> {
        match open {
            Some(open) if open.is_pending(self.now()) && !invite.superseding => {
                Err(Error::AlreadyPending {
                    invitation: open.id,
                })
            }
            _ => Ok(()),
        }
    }

    /// Closes the address's open invitation, whose time is over or which is to be superseded. The
    /// sweep takes no lock, so it may have been quicker.
    async fn make_room(
        &self,
        connection: &mut Connection<'_>,
        actor: &UserId,
        open: Invitation,
    ) -> Result<(), Error> {
        let now = self.now();
        match super::find_locked(connection, open.id).await? {
            Some(open) if open.is_pending(now) => {
                self.may_grant(connection, actor, open.grant(), Action::Revoke)
                    .await?;
                self.withdraw(connection, Some(actor), open).await.map(drop)
            }
            Some(open) if open.status == Status::Pending => {
                expire::record(connection, now, &open).await
            }
            _ => Ok(()),
        }
    }

    fn draft(&self, actor: &UserId, invite: Invite) -> Invitation {
        let now = self.now();
        Invitation {
            id: InvitationId::new(now),
            organization: invite.organization,
            email: invite.email,
            role: invite.role,
            locale: invite.locale,
            message: invite.message,
            status: Status::Pending,
            delivery: Delivery::Queued,
            delivery_detail: None,
            granted_by: actor.clone(),
            accepted_by: None,
            letters: 1,
            last_letter_at: now,
            created_at: now,
            expires_at: now + self.lifetime(),
            closed_at: None,
            nonce: new_nonce(),
            link_role: None,
            role_seal: None,
            replaced_links: Vec::new(),
        }
    }

    async fn announce(
        &self,
        connection: &mut Connection<'_>,
        actor: &UserId,
        invitation: &Invitation,
    ) -> Result<(), Error> {
        let now = invitation.created_at;
        let letter = Letter {
            organization: invitation.organization,
            actor,
            recipient: &invitation.email,
        };
        letter::count(connection, self.limits(), now, letter).await?;
        Event::new(
            now,
            invitation.organization,
            EventKind::InvitationCreated,
            invitation.id,
        )
        .by(actor)
        .after(invitation.facts())
        .record(connection)
        .await?;
        let task = Task::SendInvitation {
            invitation: invitation.id,
            letter: invitation.letters,
        };
        outbox::push(connection, now, invitation.organization, &task).await
    }
}

/// Writes the invitation. Under the lock the address has no open one; the index sees to it even
/// where the lock is not held.
async fn insert(connection: &mut Connection<'_>, invitation: &Invitation) -> Result<(), Error> {
    let email_key = invitation.email.canonical();
    let statement = sql("INSERT INTO guestlist_invitations
             (id, organization_id, email, email_key, role, locale, message, status, delivery, nonce,
              granted_by, letters, last_letter_at, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14)
         ON CONFLICT (organization_id, email_key) WHERE status = 'pending' DO NOTHING")
    .bind(invitation.id.as_uuid())
    .bind(invitation.organization.as_uuid())
    .bind(invitation.email.as_str())
    .bind(email_key.as_str())
    .bind(invitation.role.as_str())
    .bind(invitation.locale.as_str())
    .bind(invitation.message.as_ref().map(PersonalMessage::as_str))
    .bind(invitation.status.as_str())
    .bind(invitation.delivery.as_str())
    .bind(invitation.nonce.as_slice())
    .bind(invitation.granted_by.as_str())
    .bind(invitation.letters)
    .bind(invitation.created_at)
    .bind(invitation.expires_at);
    if connection.execute(statement).await? == 0 {
        let winner = find_open(connection, invitation.organization, &invitation.email).await?;
        return Err(Error::AlreadyPending {
            invitation: winner.map_or(invitation.id, |winner| winner.id),
        });
    }
    Ok(())
}

/// The address's invitation that is not recorded as closed, whether or not its time is over.
pub(super) async fn find_open(
    connection: &mut Connection<'_>,
    organization: OrganizationId,
    email: &EmailAddress,
) -> Result<Option<Invitation>, Error> {
    const FIND: &str = const_format::formatcp!(
        "SELECT {COLUMNS} FROM guestlist_invitations
         WHERE organization_id = $1 AND email_key = $2 AND status = 'pending'"
    );
    let email_key = email.canonical();
    Ok(connection
        .fetch_optional(
            sql(FIND)
                .bind(organization.as_uuid())
                .bind(email_key.as_str()),
        )
        .await?)
}

impl Invitation {
    /// The moment from which another letter may be sent.
    pub(super) fn next_letter_at(&self, interval: std::time::Duration) -> DateTime<Utc> {
        self.last_letter_at + interval
    }
}

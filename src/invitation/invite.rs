//! Invitations of new members.

mod context;

use chrono::{DateTime, Utc};

use self::context::InviteContext;
pub(super) use self::context::find_open;
use super::open::new_nonce;
use super::{Delivery, Invitation, Status, expire};
use crate::acting::ActingIn;
use crate::actor::Grantor;
use crate::connection::{Connection, Insert, Lend};
use crate::email_address::EmailAddress;
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::id::InvitationId;
use crate::letter_limits::{self, Letter};
use crate::locale::Locale;
use crate::lock::{self, Lock};
use crate::outbox::{self, Task};
use crate::personal_message::PersonalMessage;
use crate::role::Role;

/// The contents of an invitation: address, role, language and personal message.
#[derive(Debug, Clone)]
#[must_use = "nobody is invited until it is passed to `invite`"]
pub struct Invite {
    email: EmailAddress,
    role: Role,
    locale: Locale,
    message: Option<PersonalMessage>,
    superseding: bool,
}

impl Invite {
    /// Makes an invite of `email` to `role`, in English and without a personal message.
    pub fn new(email: EmailAddress, role: Role) -> Self {
        Self {
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

    /// Adds a personal message to the letter.
    pub fn message(self, message: PersonalMessage) -> Self {
        Self {
            message: Some(message),
            ..self
        }
    }

    /// Revokes the open invitation of the address, if there is one, instead of refusing the invite.
    pub fn superseding(self) -> Self {
        Self {
            superseding: true,
            ..self
        }
    }

    /// Returns the invited address.
    pub fn email(&self) -> &EmailAddress {
        &self.email
    }
}

/// The result of one invite of a batch.
pub type Outcome = Result<Invitation, Error>;

impl ActingIn<'_> {
    /// Invites one address: writes the invitation, its event and the outbox message of its letter.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, Invite, OrganizationId};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, acme: OrganizationId) -> Result<(), Error> {
    /// let invite = Invite::new("bob@acme.example".parse()?, "agent".parse()?);
    /// let invitation = guestlist.act(&olivia).in_organization(acme).invite(&mut *tx, invite).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] if the actor is not a member, [`Error::Forbidden`],
    /// [`Error::UnknownRole`], [`Error::AlreadyMember`], [`Error::AlreadyPending`],
    /// [`Error::NoSeat`], [`Error::Throttled`].
    pub async fn invite(
        &self,
        connection: impl Lend<'_>,
        invite: Invite,
    ) -> Result<Invitation, Error> {
        let outcomes = self.invite_all(connection, vec![invite]).await?;
        let outcome = outcomes.into_iter().next();
        outcome.expect("each invite has its outcome")
    }

    /// Invites many addresses, each on its own: a refused one does not affect the others. The
    /// outcomes are in the order of the invites.
    ///
    /// The batch runs under the organization's lock and in the order of the addresses, so two
    /// batches with common addresses cannot deadlock, and each counts the letters of the other. If
    /// seats or letters run out, the last addresses in that order are refused.
    ///
    /// # Errors
    /// [`Error::NoTransaction`], [`Error::Conflict`] and [`Error::Database`]; after the last two,
    /// roll back.
    ///
    /// ```
    /// # use guestlist::{Actor, Connection, Error, Guestlist, Invite, OrganizationId, Role};
    /// # async fn example(guestlist: Guestlist, tx: &mut Connection<'_>, olivia: Actor, acme: OrganizationId) -> Result<(), Error> {
    /// let agent: Role = "agent".parse()?;
    /// let invites = vec![
    ///     Invite::new("bob@acme.example".parse()?, agent.clone()),
    ///     Invite::new("eve@acme.example".parse()?, agent),
    /// ];
    /// for outcome in guestlist.act(&olivia).in_organization(acme).invite_all(&mut *tx, invites).await? {
    ///     match outcome {
    ///         Ok(invitation) => println!("invited {}", invitation.email),
    ///         Err(refused) => println!("refused: {refused}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn invite_all(
        &self,
        connection: impl Lend<'_>,
        invites: Vec<Invite>,
    ) -> Result<Vec<Outcome>, Error> {
        let mut connection = connection.lend();
        connection.require_transaction()?;
        let mut invites: Vec<_> = invites.into_iter().enumerate().collect();
        invites.sort_by_cached_key(|(_, invite)| invite.email.canonical());
        let mut outcomes = self.invite_sorted(&mut connection, invites).await?;
        outcomes.sort_by_key(|(place, _)| *place);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Invites in rounds of at most [`ROUND`], under the organization's lock.
    async fn invite_sorted(
        &self,
        connection: &mut Connection<'_>,
        mut invites: Vec<(usize, Invite)>,
    ) -> Result<Vec<(usize, Outcome)>, Error> {
        if invites.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.acting.guestlist.now();
        let lock = match lock::organization(connection, self.organization, now).await {
            Err(Error::NotFound) => return Ok(unknown(invites)),
            locked => locked?,
        };
        let mut outcomes = Vec::with_capacity(invites.len());
        while !invites.is_empty() {
            let round = next_round(&mut invites);
            outcomes.extend(self.invite_round(connection, &lock, round).await?);
        }
        Ok(outcomes)
    }

    /// Decides on each invite, then writes all granted ones together.
    async fn invite_round(
        &self,
        connection: &mut Connection<'_>,
        lock: &Lock,
        round: Vec<(usize, Invite)>,
    ) -> Result<Vec<(usize, Outcome)>, Error> {
        let guestlist = self.acting.guestlist;
        let mut context = match InviteContext::read(self, connection, lock, &round).await {
            Err(Error::NotFound) => return Ok(unknown(round)),
            context => context?,
        };
        let mut outcomes = Vec::with_capacity(round.len());
        let (mut granted, mut events) = (Vec::new(), Vec::new());
        for (place, invite) in round {
            match context.grant(guestlist, &invite) {
                Ok(former) => {
                    if let Some(former) = former {
                        events.push(self.close_former(connection, &former).await?);
                    }
                    let invitation = self.draft(guestlist.now(), invite);
                    events.push(self.created(&invitation));
                    context.remember(invitation.clone());
                    granted.push(invitation.clone());
                    outcomes.push((place, Ok(invitation)));
                }
                Err(refusal) => outcomes.push((place, Err(refusal))),
            }
        }
        self.write(connection, &granted, &events).await?;
        Ok(outcomes)
    }

    /// Closes an open invitation that has expired or is superseded.
    async fn close_former(
        &self,
        connection: &mut Connection<'_>,
        former: &Invitation,
    ) -> Result<Event, Error> {
        let guestlist = self.acting.guestlist;
        let now = guestlist.now();
        if former.is_pending(now) {
            let revoking = guestlist.close_revoked(connection, self.acting.attribution(), former);
            revoking.await.map(|(_, event)| event)
        } else {
            expire::close(connection, now, former).await
        }
    }

    fn draft(&self, now: DateTime<Utc>, invite: Invite) -> Invitation {
        Invitation {
            id: InvitationId::new(now),
            organization: self.organization,
            email: invite.email,
            role: invite.role,
            locale: invite.locale,
            message: invite.message,
            status: Status::Pending,
            delivery: Delivery::Queued,
            delivery_detail: None,
            bounced_at: None,
            granted_by: Grantor::from(&self.acting.actor),
            accepted_by: None,
            letters: 1,
            last_letter_at: now,
            created_at: now,
            expires_at: now + self.acting.guestlist.lifetime(),
            closed_at: None,
            nonce: new_nonce(),
            link_role: None,
            role_seal: None,
            replaced_links: Vec::new(),
            mail_paused_until: None,
        }
    }

    /// Writes the granted invitations with their events, the count of their letters and the outbox
    /// messages.
    async fn write(
        &self,
        connection: &mut Connection<'_>,
        invitations: &[Invitation],
        events: &[Event],
    ) -> Result<(), Error> {
        let letters: Vec<_> = invitations
            .iter()
            .map(|invitation| Letter {
                organization: invitation.organization,
                actor: invitation.granted_by.user_id(),
                recipient: &invitation.email,
            })
            .collect();
        let tasks: Vec<_> = invitations
            .iter()
            .map(|invitation| {
                let task = Task::SendInvitation {
                    invitation: invitation.id,
                    letter: invitation.letters,
                };
                (invitation.organization, task)
            })
            .collect();
        let guestlist = self.acting.guestlist;
        let now = guestlist.now();
        let [events, notices] = Event::records(events);
        let count = letter_limits::count_rows(guestlist.limits(), now, &letters);
        let promises = outbox::messages(now, &tasks);
        let inserts = vec![rows(invitations), events, notices, count, promises];
        Ok(connection.insert(inserts).await?)
    }

    fn created(&self, invitation: &Invitation) -> Event {
        let (at, id) = (invitation.created_at, invitation.id);
        Event::new(at, self.organization, EventKind::InvitationCreated, id)
            .by(self.acting.attribution())
            .after(invitation.facts())
    }
}

/// Returns a refusal for each invite, because the actor may not see the organization.
fn unknown(invites: Vec<(usize, Invite)>) -> Vec<(usize, Outcome)> {
    let refused = |(place, _)| (place, Err(Error::NotFound));
    invites.into_iter().map(refused).collect()
}

/// The most invites decided and written together.
const ROUND: usize = 1000;

/// Takes invites off the front of a sorted batch, up to one that may supersede an invitation which
/// this round has not written yet.
fn next_round(batch: &mut Vec<(usize, Invite)>) -> Vec<(usize, Invite)> {
    let follows_its_like = |pair: &[(usize, Invite)]| {
        let [(_, one), (_, other)] = pair else {
            return false;
        };
        other.superseding && one.email.canonical() == other.email.canonical()
    };
    let again = batch.windows(2).position(follows_its_like);
    let end = again.map_or(batch.len(), |first| first + 1).min(ROUND);
    batch.drain(..end).collect()
}

/// Returns the rows of invitations. Under the lock their addresses have no open invitation; the
/// unique index ensures it even if another program writes without the lock.
fn rows(invitations: &[Invitation]) -> Insert<'_> {
    let rows = invitations.iter().map(|invitation| {
        let message = invitation.message.as_ref();
        [
            invitation.id.as_uuid().into(),
            invitation.organization.as_uuid().into(),
            invitation.email.as_str().into(),
            invitation.email.canonical().into(),
            invitation.role.as_str().into(),
            invitation.locale.as_str().into(),
            message.map(PersonalMessage::as_str).into(),
            invitation.status.as_str().into(),
            invitation.delivery.as_str().into(),
            invitation.nonce.as_slice().into(),
            invitation.granted_by.name().into(),
            invitation.granted_by.kind().into(),
            invitation.letters.into(),
            invitation.last_letter_at.into(),
            invitation.created_at.into(),
            invitation.expires_at.into(),
        ]
    });
    let into = "guestlist_invitations
         (id, organization_id, email, email_key, role, locale, message, status, delivery, nonce,
          granted_by, granted_by_kind, letters, last_letter_at, created_at, expires_at)";
    Insert::new(into, rows)
}

impl Invitation {
    /// Returns the time from which another letter may be sent.
    pub(super) fn next_letter_at(&self, interval: std::time::Duration) -> DateTime<Utc> {
        self.last_letter_at + interval
    }
}

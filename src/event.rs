//! The audit trail: one event per change, written in the same transaction.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value as Json;
use sqlx::FromRow;
use uuid::Uuid;

use crate::actor::{self, Actor, Attribution};
use crate::connection::{Connection, Insert, Lend, sql};
use crate::error::Error;
use crate::guestlist::Guestlist;
use crate::id::{EventId, OrganizationId, UserId};
use crate::outbox::{self, Task};
use crate::page::{Page, Paging};
use crate::text_enum::text_enum;

/// A change in an organization, with its actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
#[non_exhaustive]
pub struct Event {
    /// The id; ids grow with time.
    pub id: EventId,
    /// The organization.
    #[sqlx(rename = "organization_id")]
    pub organization: OrganizationId,
    /// The kind of change.
    pub kind: EventKind,
    /// The actor and the origin of the request.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub attribution: Attribution,
    /// The id of the changed invitation, user or organization.
    pub subject: String,
    /// The subject before the change, if it existed.
    pub before: Option<Json>,
    /// The subject after the change, if it still exists.
    pub after: Option<Json>,
    /// The time of the change.
    pub at: DateTime<Utc>,
}

text_enum! {
    /// The kinds of events.
    EventKind {
        /// An organization was created, with its first owner.
        OrganizationCreated = "organization_created",
        /// An organization got another name.
        OrganizationRenamed = "organization_renamed",
        /// An organization was deleted, with its memberships and invitations.
        OrganizationDeleted = "organization_deleted",
        /// The host gave an organization another number of seats.
        SeatsChanged = "seats_changed",
        /// Someone was invited.
        InvitationCreated = "invitation_created",
        /// An invitation was sent again and expires later.
        InvitationResent = "invitation_resent",
        /// The role of an open invitation was changed.
        InvitationRoleChanged = "invitation_role_changed",
        /// An invitation was revoked.
        InvitationRevoked = "invitation_revoked",
        /// An invitee became a member.
        InvitationAccepted = "invitation_accepted",
        /// An invitee declined.
        InvitationDeclined = "invitation_declined",
        /// An invitation expired.
        InvitationExpired = "invitation_expired",
        /// A mail server refused the letter of an invitation for good, or it was not sent because the
        /// address is suppressed.
        InvitationUndeliverable = "invitation_undeliverable",
        /// The letter of an invitation came back after a mail server had accepted it.
        InvitationBounced = "invitation_bounced",
        /// A letter came back too late to matter: a newer one was sent, or the invitation is closed.
        InvitationBouncedLate = "invitation_bounced_late",
        /// The link of an invitation was shown to a member.
        InvitationLinkShown = "invitation_link_shown",
        /// A member's role changed.
        RoleChanged = "role_changed",
        /// A member became owner by transfer.
        OwnershipTransferred = "ownership_transferred",
        /// A member was suspended.
        MemberSuspended = "member_suspended",
        /// A suspended member was reinstated.
        MemberReinstated = "member_reinstated",
        /// A member was removed.
        MemberRemoved = "member_removed",
        /// A member left.
        MemberLeft = "member_left",
        /// A member's account was deleted by the host.
        MemberForgotten = "member_forgotten",
    }
}

/// The person that a notice of an event is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressee {
    /// The inviter of the invitation.
    Inviter,
    /// The member that the event is about.
    Member,
}

impl EventKind {
    /// Returns the addressee of a notice, or `None` if no notice is sent.
    pub fn addressee(self) -> Option<Addressee> {
        match self {
            Self::InvitationAccepted
            | Self::InvitationDeclined
            | Self::InvitationExpired
            | Self::InvitationUndeliverable
            | Self::InvitationBounced => Some(Addressee::Inviter),
            Self::RoleChanged
            | Self::OwnershipTransferred
            | Self::MemberSuspended
            | Self::MemberReinstated
            | Self::MemberRemoved => Some(Addressee::Member),
            _ => None,
        }
    }
}

const COLUMNS: &str = const_format::concatcp!(
    "id, organization_id, kind, subject, before, after, at, ",
    actor::COLUMNS
);

impl Event {
    /// Makes an event of `kind` at `at`, without an actor and without a state before or after.
    pub(crate) fn new(
        at: DateTime<Utc>,
        organization: OrganizationId,
        kind: EventKind,
        subject: impl ToString,
    ) -> Self {
        let subject = subject.to_string();
        Self {
            id: EventId::new(at),
            organization,
            kind,
            attribution: Attribution::default(),
            subject,
            before: None,
            after: None,
            at,
        }
    }

    pub(crate) fn by(self, attribution: Attribution) -> Self {
        Self {
            attribution,
            ..self
        }
    }

    pub(crate) fn before(self, before: Json) -> Self {
        Self {
            before: Some(before),
            ..self
        }
    }

    pub(crate) fn after(self, after: Json) -> Self {
        Self {
            after: Some(after),
            ..self
        }
    }

    /// Returns `true` if a notice is due. People get no notice of their own actions.
    fn is_worth_a_notice(&self) -> bool {
        match self.kind.addressee() {
            Some(Addressee::Member) => {
                let actor = self.attribution.actor.as_ref().and_then(Actor::user_id);
                actor.map(UserId::as_str) != Some(&self.subject)
            }
            Some(Addressee::Inviter) => true,
            None => false,
        }
    }

    /// Writes the event and the outbox message of its notice, if one is due.
    pub(crate) async fn record(self, connection: &mut Connection<'_>) -> Result<(), Error> {
        Self::record_all(connection, &[self]).await
    }

    /// Writes several events of one time.
    pub(crate) async fn record_all(
        connection: &mut Connection<'_>,
        events: &[Self],
    ) -> Result<(), Error> {
        Ok(connection.insert(Self::records(events).into()).await?)
    }

    /// Returns the rows of several events and of the outbox messages of their notices.
    pub(crate) fn records(events: &[Self]) -> [Insert<'_>; 2] {
        let rows = events.iter().map(|event| {
            let [actor, actor_kind, reason, channel, request_id, client] =
                event.attribution.values();
            [
                event.id.as_uuid().into(),
                event.organization.as_uuid().into(),
                event.kind.as_str().into(),
                event.subject.as_str().into(),
                event.before.clone().into(),
                event.after.clone().into(),
                event.at.into(),
                actor.into(),
                actor_kind.into(),
                reason.into(),
                channel.into(),
                request_id.into(),
                client.into(),
            ]
        });
        const INTO: &str = const_format::formatcp!("guestlist_events ({COLUMNS})");
        let told = events.iter().filter(|event| event.is_worth_a_notice());
        let notices: Vec<_> = told
            .map(|event| (event.organization, Task::SendNotice { event: event.id }))
            .collect();
        let now = events.first().map(|first| first.at).unwrap_or_default();
        [Insert::new(INTO, rows), outbox::messages(now, &notices)]
    }

    /// Reads one event.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Event, EventId};
    /// # async fn example(connection: &mut Connection<'_>, id: EventId) -> Result<(), Error> {
    /// if let Some(event) = Event::find(&mut *connection, id).await? {
    ///     println!("{}: {}", event.at, event.kind);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn find(connection: impl Lend<'_>, id: EventId) -> Result<Option<Self>, Error> {
        const FIND: &str =
            const_format::formatcp!("SELECT {COLUMNS} FROM guestlist_events WHERE id = $1");
        Ok(connection
            .lend()
            .fetch_optional(sql(FIND).bind(id.as_uuid()))
            .await?)
    }
}

impl Guestlist {
    /// Reads the history of an organization, oldest first. Works for a deleted organization too.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, Paging};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
    /// let mut paging = Paging::first(100);
    /// loop {
    ///     let page = guestlist.events(&mut *connection, acme, &paging).await?;
    ///     for event in &page.items {
    ///         println!("{}: {}", event.at, event.kind);
    ///     }
    ///     let Some(next) = page.next else { break };
    ///     paging = Paging::after(next, 100);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::Database`].
    pub async fn events(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Event>, Error> {
        const LIST: &str = const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_events WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3"
        );
        let after = paging.key()?.unwrap_or(Uuid::nil());
        list(connection, LIST, organization, after, paging).await
    }

    /// Reads the history of an organization, newest first. Works for a deleted organization too.
    ///
    /// ```
    /// # use guestlist::{Connection, Error, Guestlist, OrganizationId, Paging};
    /// # async fn example(guestlist: Guestlist, connection: &mut Connection<'_>, acme: OrganizationId) -> Result<(), Error> {
    /// let page = guestlist.latest_events(&mut *connection, acme, &Paging::first(20)).await?;
    /// for event in page.items {
    ///     println!("{}: {}", event.at, event.kind);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`], [`Error::Database`].
    pub async fn latest_events(
        &self,
        connection: impl Lend<'_>,
        organization: OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Event>, Error> {
        const LIST: &str = const_format::formatcp!(
            "SELECT {COLUMNS} FROM guestlist_events WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        );
        let before = paging.key()?.unwrap_or(Uuid::max());
        list(connection, LIST, organization, before, paging).await
    }
}

/// Reads a page of events beyond `key`, in the order of the statement.
async fn list(
    connection: impl Lend<'_>,
    statement: &'static str,
    organization: OrganizationId,
    key: Uuid,
    paging: &Paging,
) -> Result<Page<Event>, Error> {
    let statement = sql(statement)
        .bind(organization.as_uuid())
        .bind(key)
        .bind(paging.fetch_limit());
    let events = connection.lend().fetch_all(statement).await?;
    Ok(Page::of(events, paging, |event: &Event| {
        event.id.to_string()
    }))
}

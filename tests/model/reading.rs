//! The library's state, read through its public API.

use std::collections::BTreeMap;

use guestlist::{
    Event, Filter, Guestlist, Invitation, InvitationId, Membership, Organization, OrganizationId,
    Paging, PooledConnection, outbox,
};
use serde_json::{Value as Json, json};

use crate::event_replay::ReplayedState;

/// Everything a host can list, by organization.
#[derive(Debug, Default, Clone)]
pub struct Reading {
    pub organizations: Vec<Listed>,
    pub messages: Vec<outbox::Message>,
}

#[derive(Debug, Clone)]
pub struct Listed {
    pub organization: Option<Organization>,
    pub members: Vec<Membership>,
    pub invitations: Vec<Invitation>,
    pub events: Vec<Event>,
}

impl Reading {
    pub async fn take(
        guestlist: &Guestlist,
        connection: &mut PooledConnection,
        organizations: &[OrganizationId],
    ) -> Self {
        let mut reading = Self::default();
        for id in organizations {
            reading
                .organizations
                .push(Listed::read(guestlist, connection, *id).await);
        }
        let ready = outbox::State::Ready;
        reading.messages = outbox::list(connection, guestlist.now(), ready, None, 1000)
            .await
            .unwrap();
        reading
    }

    pub fn invitation(&self, id: InvitationId) -> Option<&Invitation> {
        let mut all = self
            .organizations
            .iter()
            .flat_map(|listed| &listed.invitations);
        all.find(|invitation| invitation.id == id)
    }
}

impl Listed {
    async fn read(
        guestlist: &Guestlist,
        connection: &mut PooledConnection,
        id: OrganizationId,
    ) -> Self {
        let all = Paging::first(Paging::MAX_LIMIT);
        let invitations = guestlist
            .invitations(&mut *connection, id, Filter::All, &all)
            .await;
        Self {
            organization: guestlist.organization(&mut *connection, id).await.unwrap(),
            members: guestlist
                .members(&mut *connection, id, &all)
                .await
                .unwrap()
                .items,
            invitations: invitations.unwrap().items,
            events: guestlist
                .events(&mut *connection, id, &all)
                .await
                .unwrap()
                .items,
        }
    }

    /// The listed state in the form of events, to compare it with the replayed events.
    pub fn as_replayed(&self) -> ReplayedState {
        let name = self
            .organization
            .as_ref()
            .map(|organization| organization.name.to_string());
        let organization = self.organization.as_ref();
        let seats = organization.and_then(Organization::seats).map(u64::from);
        let members = self
            .members
            .iter()
            .map(|member| (member.user.as_str().to_owned(), member_facts(member)));
        let invitations = self
            .invitations
            .iter()
            .map(|invitation| (invitation.id.to_string(), invitation_facts(invitation)));
        ReplayedState {
            name,
            seats,
            members: members.collect(),
            invitations: BTreeMap::from_iter(invitations),
        }
    }
}

fn member_facts(member: &Membership) -> Json {
    let Membership {
        suspended_at,
        user,
        email,
        name,
        locale,
        role,
        ..
    } = member;
    json!({ "user": user, "email": email, "name": name, "locale": locale, "role": role, "suspended_at": suspended_at })
}

fn invitation_facts(invitation: &Invitation) -> Json {
    let Invitation {
        email,
        role,
        status,
        expires_at,
        ..
    } = invitation;
    json!({ "email": email, "role": role, "status": status, "expires_at": expires_at })
}

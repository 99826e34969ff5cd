//! Both sides in the same words, a line for each fact, so that a difference reads at a glance.

use std::collections::BTreeSet;

use guestlist::worker;
use guestlist::{Filter, Paging, PooledConnection, Status};

use crate::accounts::{ADDRESSES, PEOPLE};
use crate::fixture::Stage;
use crate::reading::Listed;
use crate::reference_model::{Invitation, Organization, Session, World};

pub type Portrait = BTreeSet<String>;

impl World {
    /// What every list must show.
    pub fn portrait(&self) -> Portrait {
        let mut lines = Portrait::new();
        for (place, organization) in self.organizations.iter().enumerate() {
            if organization.is_gone {
                continue;
            }
            let Organization { name, seats, .. } = organization;
            lines.insert(format!("organization {place} {name:?} seats {seats:?}"));
            for (person, member) in &organization.members {
                lines.insert(format!(
                    "member {place} {person} {} {} {} since {} out {:?}",
                    member.address.stored,
                    member.role,
                    member.locale,
                    member.joined_at,
                    member.suspended_at
                ));
            }
        }
        let invitations = self.invitations.iter().enumerate();
        lines.extend(
            invitations
                .filter(|(_, it)| !it.is_gone)
                .map(|(place, it)| self.line(place, it)),
        );
        lines
    }

    fn line(&self, place: usize, invitation: &Invitation) -> String {
        format!(
            "invitation {place} to {} for {} as {} in {}: {} now {}, {} letters {} last {}, until {}, by {}, accepted {:?}, closed {:?}",
            invitation.organization,
            invitation.address.stored,
            invitation.role,
            invitation.locale,
            invitation.status,
            invitation.status_at(self.now),
            invitation.delivery,
            invitation.letters,
            invitation.last_letter_at,
            invitation.expires_at,
            invitation.granted_by,
            invitation.accepted_by,
            invitation.closed_at,
        )
    }

    /// What is asked for one by one: sessions, memberships, filtered lists, suppressions.
    pub fn details(&self) -> Portrait {
        let mut lines = Portrait::new();
        for (place, organization) in self.organizations.iter().enumerate() {
            for ((person, nth), session) in &organization.sessions {
                let state = match session {
                    Session::Live(_) => "live",
                    Session::Ended => "ended",
                };
                lines.insert(format!("session {place} {person}-{nth} {state}"));
            }
            let members = organization.members.iter();
            for (person, member) in members.filter(|(_, it)| it.suspended_at.is_none()) {
                let may_delete = self.settings.roles.may_delete(member.role);
                lines.insert(format!("membership {place} {person} {may_delete}"));
            }
        }
        for (place, invitation) in self.invitations.iter().enumerate() {
            if !invitation.is_gone {
                lines.insert(format!(
                    "listed {place} as {}",
                    invitation.status_at(self.now)
                ));
            }
        }
        for address in &ADDRESSES {
            if self.is_suppressed(address.invitee) {
                lines.insert(format!("suppressed {}", address.invitee));
            }
        }
        lines
    }
}

impl Stage {
    pub fn portrait(&self) -> Portrait {
        let mut lines = Portrait::new();
        for (place, listed) in self.reading.organizations.iter().enumerate() {
            if let Some(organization) = &listed.organization {
                let (name, seats) = (organization.name.as_str(), organization.seats());
                lines.insert(format!("organization {place} {name:?} seats {seats:?}"));
            }
            for member in &listed.members {
                lines.insert(format!(
                    "member {place} {} {} {} {} since {} out {:?}",
                    member.user.as_str(),
                    member.email.as_str(),
                    member.role,
                    member.locale.as_str(),
                    member.joined_at,
                    member.suspended_at
                ));
            }
            lines.extend(self.invitation_lines(listed));
        }
        lines
    }

    fn invitation_lines(&self, listed: &Listed) -> Vec<String> {
        let line = |invitation: &guestlist::Invitation| {
            format!(
                "invitation {} to {} for {} as {} in {}: {} now {}, {} letters {} last {}, until {}, by {}, accepted {:?}, closed {:?}",
                self.place(invitation),
                self.organizations
                    .iter()
                    .position(|id| *id == invitation.organization)
                    .expect("known"),
                invitation.email,
                invitation.role,
                invitation.locale.as_str(),
                invitation.status,
                invitation.status_at(self.guestlist.now()),
                invitation.delivery,
                invitation.letters,
                invitation.last_letter_at,
                invitation.expires_at,
                invitation.granted_by.as_str(),
                invitation.accepted_by.as_ref().map(|user| user.as_str()),
                invitation.closed_at,
            )
        };
        listed.invitations.iter().map(line).collect()
    }

    pub fn place(&self, invitation: &guestlist::Invitation) -> usize {
        let place = self.invitations.iter().position(|id| *id == invitation.id);
        place.expect("an invitation of this history")
    }

    pub async fn details(&self) -> Portrait {
        let mut connection = self.database.acquire().await.expect("a connection");
        let mut lines = self.suppressions(&mut connection).await;
        for place in 0..self.organizations.len() {
            lines.extend(self.filtered(&mut connection, place).await);
            lines.extend(self.sessions(&mut connection, place).await);
        }
        for person in PEOPLE {
            let all = Paging::first(Paging::MAX_LIMIT);
            let user = person.parse().expect("an id");
            let page = self
                .guestlist
                .memberships(&mut connection, &user, &all)
                .await
                .unwrap();
            for listed in page.items {
                let place = self
                    .organizations
                    .iter()
                    .position(|id| *id == listed.organization);
                let place = place.expect("known");
                let asked = self
                    .guestlist
                    .membership(&mut connection, listed.organization, &user)
                    .await;
                assert_eq!(asked.unwrap().as_ref(), Some(&listed));
                let may_delete = listed.allows("organization.delete");
                lines.insert(format!("membership {place} {person} {may_delete}"));
            }
        }
        lines
    }

    async fn suppressions(&self, connection: &mut PooledConnection) -> Portrait {
        let mut lines = Portrait::new();
        for address in &ADDRESSES {
            let email = address.typed.parse().expect("an address");
            if worker::suppression(&mut *connection, &email)
                .await
                .unwrap()
                .is_some()
            {
                lines.insert(format!("suppressed {}", address.invitee));
            }
        }
        lines
    }

    async fn filtered(&self, connection: &mut PooledConnection, place: usize) -> Portrait {
        let mut lines = Portrait::new();
        let all = Paging::first(Paging::MAX_LIMIT);
        for status in Status::ALL {
            let (id, filter) = (self.organizations[place], Filter::Only(*status));
            let page = self
                .guestlist
                .invitations(&mut *connection, id, filter, &all)
                .await
                .unwrap();
            for invitation in page.items {
                lines.insert(format!("listed {} as {status}", self.place(&invitation)));
            }
        }
        lines
    }

    async fn sessions(&self, connection: &mut PooledConnection, place: usize) -> Portrait {
        let mut lines = Portrait::new();
        let id = self.organizations[place];
        for person in PEOPLE {
            let user = person.parse().expect("an id");
            for session in self
                .guestlist
                .sessions(&mut *connection, id, &user)
                .await
                .unwrap()
            {
                lines.insert(format!("session {place} {} live", session.as_str()));
            }
        }
        for ended in worker::ended_sessions(&mut *connection, id, None, 1000)
            .await
            .unwrap()
        {
            lines.insert(format!("session {place} {} ended", ended.session.as_str()));
        }
        lines
    }
}

/// Fails with the facts that only one side has.
pub fn same(model: &Portrait, library: &Portrait) -> Result<(), String> {
    if model == library {
        return Ok(());
    }
    let only = |one: &Portrait, other| {
        one.difference(other)
            .map(|line| format!("\n  {line}"))
            .collect::<String>()
    };
    Err(format!(
        "only the model says:{}\nonly the library says:{}",
        only(model, library),
        only(library, model)
    ))
}

//! The state of both sides in the same words, one line for each fact, so that a difference is easy
//! to see.

use std::collections::BTreeSet;

use guestlist::worker;
use guestlist::{Filter, Paging, PooledConnection, Status};

use crate::accounts::{ACCOUNTS, ADDRESSES};
use crate::fixture::Fixture;
use crate::reading::Listed;
use crate::reference_model::{Invitation, Organization, ReferenceModel, Session};

pub type Snapshot = BTreeSet<String>;

impl ReferenceModel {
    /// The lines that the lists must give.
    pub fn snapshot(&self) -> Snapshot {
        let mut lines = Snapshot::new();
        for (index, organization) in self.organizations.iter().enumerate() {
            if organization.is_gone {
                continue;
            }
            let Organization { name, seats, .. } = organization;
            lines.insert(format!("organization {index} {name:?} seats {seats:?}"));
            for (account, member) in &organization.members {
                lines.insert(format!(
                    "member {index} {account} {} {} {} since {} out {:?}",
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
                .map(|(index, it)| self.line(index, it)),
        );
        lines
    }

    fn line(&self, index: usize, invitation: &Invitation) -> String {
        format!(
            "invitation {index} to {} for {} as {} in {}: {} now {}, {} letters {} last {}, until {}, by {}, accepted {:?}, closed {:?}",
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

    /// The lines of single reads: sessions, memberships, filtered lists, suppressions.
    pub fn details(&self) -> Snapshot {
        let mut lines = Snapshot::new();
        for (index, organization) in self.organizations.iter().enumerate() {
            for ((account, nth), session) in &organization.sessions {
                let state = match session {
                    Session::Live(_) => "live",
                    Session::Ended => "ended",
                };
                lines.insert(format!("session {index} {account}-{nth} {state}"));
            }
            let members = organization.members.iter();
            for (account, member) in members.filter(|(_, it)| it.suspended_at.is_none()) {
                let may_delete = self.settings.roles.may_delete(member.role);
                lines.insert(format!("membership {index} {account} {may_delete}"));
            }
        }
        for (index, invitation) in self.invitations.iter().enumerate() {
            if !invitation.is_gone {
                lines.insert(format!(
                    "listed {index} as {}",
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

impl Fixture {
    pub fn snapshot(&self) -> Snapshot {
        let mut lines = Snapshot::new();
        for (index, listed) in self.reading.organizations.iter().enumerate() {
            if let Some(organization) = &listed.organization {
                let (name, seats) = (organization.name.as_str(), organization.seats());
                lines.insert(format!("organization {index} {name:?} seats {seats:?}"));
            }
            for member in &listed.members {
                lines.insert(format!(
                    "member {index} {} {} {} {} since {} out {:?}",
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
                self.index_of(invitation),
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
                invitation.granted_by,
                invitation.accepted_by.as_ref().map(|user| user.as_str()),
                invitation.closed_at,
            )
        };
        listed.invitations.iter().map(line).collect()
    }

    pub fn index_of(&self, invitation: &guestlist::Invitation) -> usize {
        let index = self.invitations.iter().position(|id| *id == invitation.id);
        index.expect("an invitation of this history")
    }

    pub async fn details(&self) -> Snapshot {
        let mut connection = self.database.acquire().await.expect("a connection");
        let mut lines = self.suppressions(&mut connection).await;
        for index in 0..self.organizations.len() {
            lines.extend(self.filtered(&mut connection, index).await);
            lines.extend(self.sessions(&mut connection, index).await);
        }
        for account in ACCOUNTS {
            let all = Paging::first(Paging::MAX_LIMIT);
            let user = account.parse().expect("an id");
            let page = self
                .guestlist
                .memberships(&mut connection, &user, &all)
                .await
                .unwrap();
            for listed in page.items {
                let index = self
                    .organizations
                    .iter()
                    .position(|id| *id == listed.organization);
                let index = index.expect("known");
                let asked = self
                    .guestlist
                    .access(&mut connection, &user, listed.organization)
                    .await;
                let asked = asked.unwrap().expect("a member has access");
                assert_eq!(asked.role, listed.role);
                let may_delete = asked.allows("organization.delete");
                lines.insert(format!("membership {index} {account} {may_delete}"));
            }
        }
        lines
    }

    async fn suppressions(&self, connection: &mut PooledConnection) -> Snapshot {
        let mut lines = Snapshot::new();
        for address in &ADDRESSES {
            let email = address.typed.parse().expect("an address");
            let now = self.guestlist.now();
            if worker::suppression(&mut *connection, now, &email)
                .await
                .unwrap()
                .is_some()
            {
                lines.insert(format!("suppressed {}", address.invitee));
            }
        }
        lines
    }

    async fn filtered(&self, connection: &mut PooledConnection, index: usize) -> Snapshot {
        let mut lines = Snapshot::new();
        let all = Paging::first(Paging::MAX_LIMIT);
        for status in Status::ALL {
            let (id, filter) = (self.organizations[index], Filter::Only(*status));
            let page = self
                .guestlist
                .invitations(&mut *connection, id, filter, &all)
                .await
                .unwrap();
            for invitation in page.items {
                lines.insert(format!("listed {} as {status}", self.index_of(&invitation)));
            }
        }
        lines
    }

    async fn sessions(&self, connection: &mut PooledConnection, index: usize) -> Snapshot {
        let mut lines = Snapshot::new();
        let id = self.organizations[index];
        for account in ACCOUNTS {
            let user = account.parse().expect("an id");
            for session in self
                .guestlist
                .sessions(&mut *connection, id, &user)
                .await
                .unwrap()
            {
                lines.insert(format!("session {index} {} live", session.as_str()));
            }
        }
        for ended in worker::ended_sessions(&mut *connection, id, None, 1000)
            .await
            .unwrap()
        {
            lines.insert(format!("session {index} {} ended", ended.session.as_str()));
        }
        lines
    }
}

/// Fails with the facts that only one side has.
pub fn same(model: &Snapshot, library: &Snapshot) -> Result<(), String> {
    if model == library {
        return Ok(());
    }
    let only = |one: &Snapshot, other| {
        one.difference(other)
            .map(|line| format!("\n  {line}"))
            .collect::<String>()
    };
    Err(format!(
        "only the model has:{}\nonly the library has:{}",
        only(model, library),
        only(library, model)
    ))
}

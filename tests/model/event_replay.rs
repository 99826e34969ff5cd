//! Rebuilds the state of an organization from its events alone.

use std::collections::BTreeMap;

use guestlist::{Event, EventKind};
use serde_json::Value as Json;

/// The state of one organization according to its events; a deleted organization has none.
#[derive(Debug, Default, PartialEq)]
pub struct ReplayedState {
    pub name: Option<String>,
    pub seats: Option<u64>,
    pub members: BTreeMap<String, Json>,
    pub invitations: BTreeMap<String, Json>,
}

impl ReplayedState {
    pub fn of(events: &[Event]) -> Self {
        let mut state = Self::default();
        events.iter().for_each(|event| state.apply(event));
        state
    }

    fn apply(&mut self, event: &Event) {
        let after = event.after.clone().unwrap_or_default();
        match event.kind {
            EventKind::OrganizationCreated => {
                self.name = text(&after["name"]);
                self.settle_member(&after["owner"]);
            }
            EventKind::OrganizationRenamed => {
                assert_eq!(
                    event.before.as_ref().map(|before| text(&before["name"])),
                    Some(self.name.take())
                );
                self.name = text(&after["name"]);
            }
            EventKind::SeatsChanged => {
                let before = event.before.as_ref().expect("a number or none");
                assert_eq!(before["seats"].as_u64(), self.seats);
                self.seats = after["seats"].as_u64();
            }
            EventKind::OrganizationDeleted => *self = Self::default(),
            EventKind::InvitationUndeliverable
            | EventKind::InvitationBounced
            | EventKind::InvitationBouncedLate
            | EventKind::InvitationLinkShown => {}
            EventKind::RoleChanged
            | EventKind::OwnershipTransferred
            | EventKind::MemberSuspended
            | EventKind::MemberReinstated
            | EventKind::MemberForgotten
            | EventKind::MemberRemoved
            | EventKind::MemberLeft => self.change_member(event, after),
            _ => self.change_invitation(event, after),
        }
    }

    /// Checks that the state before the event is the one that the previous event left.
    fn change_member(&mut self, event: &Event, after: Json) {
        let before = self.members.remove(&event.subject);
        assert_eq!(
            event.before, before,
            "{event:?} starts where the last event ended"
        );
        if !after.is_null() {
            self.settle_member(&after);
        }
    }

    fn change_invitation(&mut self, event: &Event, mut after: Json) {
        let before = self.invitations.remove(&event.subject);
        assert_eq!(
            event.before, before,
            "{event:?} starts where the last event ended"
        );
        if let Some(member) = after
            .as_object_mut()
            .and_then(|after| after.remove("member"))
        {
            self.settle_member(&member);
        }
        self.invitations.insert(event.subject.clone(), after);
    }

    fn settle_member(&mut self, facts: &Json) {
        let user = text(&facts["user"]).expect("a member is someone");
        self.members.insert(user, facts.clone());
    }
}

fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

//! The promises about state from `docs/architecture.md`, checked on what the library lists,
//! independent of the model.

use std::collections::{BTreeMap, BTreeSet};

use guestlist::{InvitationId, Membership, Status, outbox};

use crate::accounts::ADDRESSES;
use crate::event_replay::ReplayedState;
use crate::fixture::Fixture;
use crate::reading::{Listed, Reading};
use crate::rules::{OWNER, Roles};

/// The letters seen so far.
#[derive(Debug, Default)]
pub struct Promises {
    /// The letters of each invitation that were ever put in the outbox.
    letters: BTreeMap<InvitationId, BTreeSet<i64>>,
    seen: BTreeSet<guestlist::MessageId>,
}

impl Promises {
    pub fn check(&mut self, roles: Roles, before: &Reading, fixture: &Fixture) {
        let now = fixture.guestlist.now();
        self.remember(&fixture.reading);
        for (index, listed) in fixture.reading.organizations.iter().enumerate() {
            has_an_active_owner(listed);
            has_one_pending_invitation_per_invitee(listed);
            assert_eq!(
                ReplayedState::of(&listed.events),
                listed.as_replayed(),
                "the events alone give the listed state"
            );
            for invitation in listed.invitations.iter().filter(|it| it.is_pending(now)) {
                let promised = self
                    .letters
                    .get(&invitation.id)
                    .cloned()
                    .unwrap_or_default();
                assert_eq!(
                    promised,
                    (1..=invitation.letters).collect(),
                    "letters of {invitation:?}"
                );
            }
            if let Some(before) = before.organizations.get(index) {
                events_are_only_added(before, listed);
                granters_held_what_they_granted(roles, before, listed);
            }
        }
    }

    fn remember(&mut self, reading: &Reading) {
        for message in &reading.messages {
            let is_new = self.seen.insert(message.id);
            if let (true, Some(outbox::Task::SendInvitation { invitation, letter })) =
                (is_new, message.task())
            {
                let is_first = self.letters.entry(invitation).or_default().insert(letter);
                assert!(
                    is_first,
                    "letter {letter} of {invitation} is in the outbox twice"
                );
            }
        }
    }
}

fn has_an_active_owner(listed: &Listed) {
    let has_owner = listed
        .members
        .iter()
        .any(|member| member.role.as_str() == OWNER && !member.is_suspended());
    assert_eq!(
        has_owner,
        listed.organization.is_some(),
        "an owner, in {listed:?}"
    );
}

fn has_one_pending_invitation_per_invitee(listed: &Listed) {
    let mut invitees = BTreeSet::new();
    for invitation in listed
        .invitations
        .iter()
        .filter(|it| it.status == Status::Pending)
    {
        let mut known = ADDRESSES.iter();
        let address = known.find(|address| address.stored == invitation.email.as_str());
        let is_first = invitees.insert(address.expect("a known address").invitee);
        assert!(is_first, "two are pending for {}", invitation.email);
    }
}

fn events_are_only_added(before: &Listed, after: &Listed) {
    let beginning = &after.events[..before.events.len()];
    assert_eq!(beginning, before.events, "recorded events do not change");
}

/// Reads from the previous list which member stood behind an invitation when it was accepted.
fn granters_held_what_they_granted(roles: Roles, before: &Listed, after: &Listed) {
    for invitation in after
        .invitations
        .iter()
        .filter(|it| it.status == Status::Accepted)
    {
        let Some(then) = before.invitations.iter().find(|it| it.id == invitation.id) else {
            continue;
        };
        if then.status == Status::Accepted {
            continue;
        }
        // A grant of the host or an operator does not depend on a member.
        let Some(granted_by) = then.granted_by.user_id() else {
            continue;
        };
        let granter = before
            .members
            .iter()
            .find(|member| member.user == *granted_by);
        let may =
            |granter: &Membership| roles.may_invite(granter.role.as_str(), then.role.as_str());
        assert!(
            granter.is_some_and(|granter| !granter.is_suspended() && may(granter)),
            "{granter:?} granted {then:?}"
        );
    }
}

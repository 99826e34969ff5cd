//! The promises of docs/architecture.md that speak of state, checked on what the library lists, whatever
//! the model says.

use std::collections::{BTreeMap, BTreeSet};

use guestlist::{InvitationId, Membership, Status, outbox};

use crate::accounts::ADDRESSES;
use crate::event_replay::Chronicle;
use crate::fixture::Stage;
use crate::reading::{Listed, Reading};
use crate::rules::{OWNER, Roles};

/// What has to be remembered from deed to deed.
#[derive(Debug, Default)]
pub struct Promises {
    /// Which letters of each invitation were ever promised in the outbox.
    letters: BTreeMap<InvitationId, BTreeSet<i64>>,
    seen: BTreeSet<guestlist::MessageId>,
}

impl Promises {
    pub fn check(&mut self, roles: Roles, before: &Reading, stage: &Stage) {
        let now = stage.guestlist.now();
        self.remember(&stage.reading);
        for (place, listed) in stage.reading.organizations.iter().enumerate() {
            there_is_always_an_owner(listed);
            one_is_pending_for_each_invitee(listed);
            assert_eq!(
                Chronicle::of(&listed.events),
                listed.as_told(),
                "what the events tell is what is"
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
            if let Some(before) = before.organizations.get(place) {
                history_only_grows(before, listed);
                nobody_was_granted_what_the_granter_could_not_grant(roles, before, listed);
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
                    "letter {letter} of {invitation} was promised twice"
                );
            }
        }
    }
}

fn there_is_always_an_owner(listed: &Listed) {
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

fn one_is_pending_for_each_invitee(listed: &Listed) {
    let mut invitees = BTreeSet::new();
    for invitation in listed
        .invitations
        .iter()
        .filter(|it| it.status == Status::Pending)
    {
        let mut known = ADDRESSES.iter();
        let address = known.find(|address| address.stored == invitation.email.as_str());
        let is_first = invitees.insert(address.expect("one of the cast's").invitee);
        assert!(is_first, "two are pending for {}", invitation.email);
    }
}

fn history_only_grows(before: &Listed, after: &Listed) {
    let beginning = &after.events[..before.events.len()];
    assert_eq!(
        beginning, before.events,
        "what was told is not told otherwise later"
    );
}

/// Who stood behind an invitation when it was accepted is read from the list before.
fn nobody_was_granted_what_the_granter_could_not_grant(
    roles: Roles,
    before: &Listed,
    after: &Listed,
) {
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
        let granter = before
            .members
            .iter()
            .find(|member| member.user == then.granted_by);
        let may =
            |granter: &Membership| roles.may_invite(granter.role.as_str(), then.role.as_str());
        assert!(
            granter.is_some_and(|granter| !granter.is_suspended() && may(granter)),
            "{granter:?} granted {then:?}"
        );
    }
}

//! Answering an invitation by its link.

use super::{Member, Subject, World};
use crate::accounts::{Address, Person};
use crate::operation::{Answer, Deed, Presented, Refusal, refused};

/// How many replaced links are remembered as such.
const REMEMBERED_LINKS: usize = 8;

impl World {
    pub(super) fn open(&mut self, deed: &Deed) -> Answer {
        let place = self.opened(deed.link)?;
        self.is_pending(place)
    }

    pub(super) fn decline(&mut self, deed: &Deed) -> Answer {
        let place = self.opened(deed.link)?;
        if self.invitations[place].status == "declined" {
            return Ok(());
        }
        self.is_pending(place)?;
        self.close(place, "declined", None);
        Ok(())
    }

    /// One way in: an open invitation, the invited and proven address, and someone behind it who
    /// could still grant the role. Again by the same member is no change, and nobody is lowered.
    pub(super) fn accept(&mut self, deed: &Deed) -> Answer {
        let place = self.opened(deed.link)?;
        let (person, address, is_verified) = deed.guest;
        let invitation = &self.invitations[place];
        let organization = invitation.organization;
        let current = self.member(organization, person);
        let is_suspended = current.is_some_and(|current| current.suspended_at.is_some());
        let is_member = current.is_some();
        if invitation.accepted_by == Some(person) && is_member {
            return if is_suspended {
                refused("suspended")
            } else {
                Ok(())
            };
        }
        self.is_pending(place)?;
        if address.invitee != invitation.address.invitee {
            return refused("wrong_account");
        }
        if !is_verified {
            return refused("unverified_email");
        }
        self.granter_may_still(place)?;
        if is_suspended {
            return refused("suspended");
        }
        if is_member {
            self.raise(place, person);
        } else {
            self.has_seat_for_a_member(organization)?;
            self.admit(place, person, address);
        }
        self.invitations[place].accepted_by = Some(person);
        self.close(place, "accepted", Some(person));
        Ok(())
    }

    fn admit(&mut self, place: usize, person: Person, address: &'static Address) {
        let invitation = &self.invitations[place];
        let member = Member {
            address,
            role: invitation.role,
            locale: invitation.locale,
            joined_at: self.now,
            suspended_at: None,
        };
        let organization = &mut self.organizations[invitation.organization];
        organization.members.insert(person, member);
    }

    fn granter_may_still(&self, place: usize) -> Answer {
        let invitation = &self.invitations[place];
        let granter = self.active(invitation.organization, invitation.granted_by);
        let roles = self.settings.roles;
        match granter {
            Ok(granter) if roles.may_invite(granter.role, invitation.role) => Ok(()),
            _ => refused("inviter_lost_right"),
        }
    }

    fn raise(&mut self, place: usize, person: Person) {
        let invitation = self.invitations[place].clone();
        let roles = self.settings.roles;
        let members = &mut self.organizations[invitation.organization].members;
        let member = members.get_mut(person).expect("a member");
        if roles.rank(member.role) >= roles.rank(invitation.role) {
            return;
        }
        member.role = invitation.role;
        let granter = Some(invitation.granted_by);
        self.tell(
            "role_changed",
            invitation.organization,
            granter,
            Subject::Person(person),
        );
    }

    /// The invitation a link was made for. What was replaced says so; all else is one answer.
    fn opened(&self, link: Presented) -> Result<usize, Refusal> {
        let Presented::Made(link) = link else {
            return refused("invalid_token");
        };
        let link = &self.links[link];
        let invitation = &self.invitations[link.invitation];
        match invitation.replacements - link.replacements {
            _ if invitation.is_gone => refused("invalid_token"),
            0 => Ok(link.invitation),
            1..=REMEMBERED_LINKS => refused("link_replaced"),
            _ => refused("invalid_token"),
        }
    }
}

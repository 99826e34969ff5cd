//! Answering an invitation by its link.

use super::{Member, Subject, World};
use crate::cast::Person;
use crate::deed::{Answer, Deed, Presented, Refusal, refused};

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
        let is_member = self.member(organization, person).is_some();
        if invitation.accepted_by == Some(person) && is_member {
            return Ok(());
        }
        self.is_pending(place)?;
        if address.invitee != invitation.address.invitee {
            return refused("wrong_account");
        }
        if !is_verified {
            return refused("unverified_email");
        }
        self.granter_may_still(place)?;
        if is_member {
            self.raise(place, person);
        } else {
            let (role, locale, joined_at) = (invitation.role, invitation.locale, self.now);
            let member = Member {
                address,
                role,
                locale,
                joined_at,
            };
            self.organizations[organization]
                .members
                .insert(person, member);
        }
        self.invitations[place].accepted_by = Some(person);
        self.close(place, "accepted", Some(person));
        Ok(())
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

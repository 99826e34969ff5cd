//! Keeping a member out for a while, and forgetting an account for good.

use chrono::{DateTime, Utc};

use super::{Member, Subject, World};
use crate::operation::{Answer, Deed, Refusal, refused_saying};

impl World {
    /// Whoever may remove a role may keep its holders out. They keep role and history.
    pub(super) fn suspend(&mut self, deed: &Deed) -> Answer {
        let member = self.may_suspend(deed)?;
        if member.suspended_at.is_some() {
            return Ok(());
        }
        self.keeps_an_owner(deed.organization, deed.whom)?;
        self.end_sessions(deed.organization, deed.whom);
        self.become_suspended(deed, Some(self.now), "member_suspended");
        Ok(())
    }

    pub(super) fn reinstate(&mut self, deed: &Deed) -> Answer {
        let member = self.may_suspend(deed)?;
        if member.suspended_at.is_none() {
            return Ok(());
        }
        self.has_seat_for(deed.organization, None)?;
        self.become_suspended(deed, None, "member_reinstated");
        Ok(())
    }

    fn may_suspend(&self, deed: &Deed) -> Result<Member, Refusal> {
        let (actor, member) = self.pair(deed)?;
        match self.settings.roles.may_remove(actor.role, member.role) {
            true => Ok(member),
            false => refused_saying("forbidden", actor.role),
        }
    }

    fn become_suspended(&mut self, deed: &Deed, at: Option<DateTime<Utc>>, kind: &'static str) {
        let members = &mut self.organizations[deed.organization].members;
        members.get_mut(deed.whom).expect("a member").suspended_at = at;
        let subject = Subject::Person(deed.whom);
        self.tell(kind, deed.organization, Some(deed.actor), subject);
    }

    /// Everything that knows the account goes: its memberships, and what is pending to the
    /// addresses it joined with or is proven to have. Nobody has to permit it.
    pub(super) fn forget_user(&mut self, deed: &Deed) -> Answer {
        let (person, address, is_verified) = deed.guest;
        let mut places: Vec<_> = (0..self.organizations.len()).collect();
        places.retain(|place| self.member(*place, person).is_some());
        let mut last = places.clone();
        last.retain(|place| self.keeps_an_owner(*place, person).is_err());
        if !last.is_empty() {
            return refused_saying("last_owner", format!("{last:?}"));
        }
        let mut invitees: Vec<_> = is_verified.then_some(address.invitee).into_iter().collect();
        for place in places {
            let member = &self.organizations[place].members[person];
            invitees.push(member.address.invitee);
            self.end(place, person, None, "member_forgotten");
        }
        for place in 0..self.invitations.len() {
            let invitation = &self.invitations[place];
            let is_theirs = invitees.contains(&invitation.address.invitee);
            if is_theirs && !invitation.is_gone && self.status(place) == "pending" {
                self.close(place, "revoked", None);
            }
        }
        Ok(())
    }
}

//! Suspending a member, and forgetting an account.

use chrono::{DateTime, Utc};

use super::{Member, ReferenceModel, Subject};
use crate::operation::{Answer, Operation, Refusal, refused_with};

impl ReferenceModel {
    /// Suspends a member. It takes the permission to remove the role; the member keeps role and
    /// history.
    pub(super) fn suspend(&mut self, operation: &Operation) -> Answer {
        let member = self.may_suspend(operation)?;
        if member.suspended_at.is_some() {
            return Ok(());
        }
        self.keeps_an_owner(operation.organization, operation.target)?;
        self.end_sessions(operation.organization, operation.target);
        self.set_suspended(operation, Some(self.now), "member_suspended");
        Ok(())
    }

    pub(super) fn reinstate(&mut self, operation: &Operation) -> Answer {
        let member = self.may_suspend(operation)?;
        if member.suspended_at.is_none() {
            return Ok(());
        }
        self.has_seat_for(operation.organization, None)?;
        self.set_suspended(operation, None, "member_reinstated");
        Ok(())
    }

    fn may_suspend(&self, operation: &Operation) -> Result<Member, Refusal> {
        let (actor, member) = self.actor_and_target(operation)?;
        match self.settings.roles.may_remove(actor.role, member.role) {
            true => Ok(member),
            false => refused_with("forbidden", actor.role),
        }
    }

    fn set_suspended(
        &mut self,
        operation: &Operation,
        at: Option<DateTime<Utc>>,
        kind: &'static str,
    ) {
        let members = &mut self.organizations[operation.organization].members;
        members
            .get_mut(operation.target)
            .expect("a member")
            .suspended_at = at;
        let subject = Subject::Account(operation.target);
        self.record_event(kind, operation.organization, Some(operation.actor), subject);
    }

    /// Removes all memberships of the account and revokes the pending invitations to the addresses
    /// it joined with or has verified. No permission is needed.
    pub(super) fn forget_user(&mut self, operation: &Operation) -> Answer {
        let (account, address, is_verified) = operation.guest;
        let mut indexes: Vec<_> = (0..self.organizations.len()).collect();
        indexes.retain(|index| self.member(*index, account).is_some());
        let mut last = indexes.clone();
        last.retain(|index| self.keeps_an_owner(*index, account).is_err());
        if !last.is_empty() {
            return refused_with("last_owner", format!("{last:?}"));
        }
        let mut invitees: Vec<_> = is_verified.then_some(address.invitee).into_iter().collect();
        for index in indexes {
            let member = &self.organizations[index].members[account];
            invitees.push(member.address.invitee);
            self.end(index, account, None, "member_forgotten");
        }
        for index in 0..self.invitations.len() {
            let invitation = &self.invitations[index];
            let is_theirs = invitees.contains(&invitation.address.invitee);
            if is_theirs && !invitation.is_gone && self.status(index) == "pending" {
                self.close(index, "revoked", None);
            }
        }
        Ok(())
    }
}

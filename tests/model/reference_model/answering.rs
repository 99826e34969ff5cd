//! Answering an invitation by its link.

use super::{Member, ReferenceModel, Subject};
use crate::accounts::{Account, Address, is_unbound};
use crate::operation::{Answer, Operation, Presented, Refusal, refused};

/// The number of replaced links that the library remembers.
const REMEMBERED_LINKS: usize = 8;

impl ReferenceModel {
    pub(super) fn open(&mut self, operation: &Operation) -> Answer {
        let index = self.opened(operation.link)?;
        self.is_pending(index)
    }

    pub(super) fn decline(&mut self, operation: &Operation) -> Answer {
        let index = self.opened(operation.link)?;
        if self.invitations[index].status == "declined" {
            return Ok(());
        }
        self.is_pending(index)?;
        self.close(index, "declined", None);
        Ok(())
    }

    /// Requires an open invitation, the invited and verified address, and a granter with the
    /// permission to grant the role. The same member accepting again changes nothing, and no role
    /// is lowered.
    pub(super) fn accept(&mut self, operation: &Operation) -> Answer {
        let index = self.opened(operation.link)?;
        let (account, address, is_verified) = operation.guest;
        let invitation = &self.invitations[index];
        let organization = invitation.organization;
        let current = self.member(organization, account);
        let is_suspended = current.is_some_and(|current| current.suspended_at.is_some());
        let is_member = current.is_some();
        if invitation.accepted_by == Some(account) && is_member {
            return if is_suspended {
                refused("suspended")
            } else {
                Ok(())
            };
        }
        self.is_pending(index)?;
        if address.invitee != invitation.address.invitee {
            return refused("wrong_account");
        }
        if !is_verified {
            return refused("unverified_email");
        }
        self.granter_may_still_grant(index)?;
        if is_suspended {
            return refused("suspended");
        }
        if is_member {
            self.raise(index, account);
        } else {
            self.has_seat_for_a_member(organization)?;
            self.admit(index, account, address);
        }
        self.suppressed.remove(address.invitee);
        self.invitations[index].accepted_by = Some(account);
        self.close(index, "accepted", Some(account));
        Ok(())
    }

    fn admit(&mut self, index: usize, account: Account, address: &'static Address) {
        let invitation = &self.invitations[index];
        let member = Member {
            address,
            role: invitation.role,
            locale: invitation.locale,
            joined_at: self.now,
            suspended_at: None,
        };
        let organization = &mut self.organizations[invitation.organization];
        organization.members.insert(account, member);
    }

    /// A grant of the host or of an operator is never checked again.
    fn granter_may_still_grant(&self, index: usize) -> Answer {
        let invitation = &self.invitations[index];
        if is_unbound(invitation.granted_by) {
            return Ok(());
        }
        let granter = self.active(invitation.organization, invitation.granted_by);
        let roles = self.settings.roles;
        match granter {
            Ok(granter) if roles.may_invite(granter.role, invitation.role) => Ok(()),
            _ => refused("inviter_lost_right"),
        }
    }

    fn raise(&mut self, index: usize, account: Account) {
        let invitation = self.invitations[index].clone();
        let roles = self.settings.roles;
        let members = &mut self.organizations[invitation.organization].members;
        let member = members.get_mut(account).expect("a member");
        if roles.rank(member.role) >= roles.rank(invitation.role) {
            return;
        }
        member.role = invitation.role;
        let granter = Some(invitation.granted_by);
        self.record_event(
            "role_changed",
            invitation.organization,
            granter,
            Subject::Account(account),
        );
    }

    /// The invitation a link was made for. A replaced link is named as such; all other refusals are
    /// the same.
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

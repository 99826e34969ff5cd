//! Invite, resend, revoke, change the role, show the link.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Invitation, Letter, Link, ReferenceModel, Subject, TaskKind};
use crate::accounts::{Account, Address, is_unbound};
use crate::history::Conditions;
use crate::limits;
use crate::operation::{Answer, Operation, Refusal, Row, refused, refused_with};

impl ReferenceModel {
    /// Invites row by row, in the order of organizations and addresses; a refused row does not
    /// affect the others.
    pub(super) fn invite_all(&mut self, operation: &Operation) -> Vec<Answer> {
        let mut rows: Vec<_> = operation.rows.iter().enumerate().collect();
        rows.sort_by_key(|(_, row)| (row.organization, row.address.invitee));
        let mut answers = Vec::new();
        for (index, row) in rows {
            answers.push((index, self.invite(operation.actor, row)));
        }
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    pub(super) fn invite(&mut self, actor: Account, row: &Row) -> Answer {
        let organization = row.organization;
        self.may_grant(organization, actor, row.role)?;
        self.is_not_a_member(organization, row.address)?;
        let open = self.open_invitation(organization, row.address);
        let pending = open.filter(|open| self.status(*open) == "pending");
        match pending {
            Some(pending) if !row.superseding => return refused_with("already_pending", pending),
            Some(pending) => {
                self.may_grant(organization, actor, self.invitations[pending].role)?;
            }
            None => {}
        }
        self.has_seat_for(organization, Some(row.address))?;
        self.has_letters_left(organization, actor, row.address)?;
        match (pending, open) {
            (Some(pending), _) => self.close(pending, "revoked", Some(actor)),
            (None, Some(overdue)) => self.close(overdue, "expired", None),
            (None, None) => {}
        }
        self.count_letter(organization, actor, row.address);
        self.add(actor, row);
        Ok(())
    }

    fn add(&mut self, actor: Account, row: &Row) {
        let invitation = self.invitations.len();
        self.invitations.push(Invitation {
            organization: row.organization,
            is_gone: false,
            address: row.address,
            role: row.role,
            link_role: row.role,
            locale: row.locale,
            status: "pending",
            delivery: "queued",
            granted_by: actor,
            accepted_by: None,
            letters: 1,
            last_letter_at: self.now,
            expires_at: self.now + self.settings.lifetime,
            closed_at: None,
            is_reminded: false,
            replacements: 0,
        });
        let replacements = 0;
        self.links.push(Link {
            invitation,
            replacements,
        });
        let subject = Subject::Invitation(invitation);
        self.record_event("invitation_created", row.organization, Some(actor), subject);
        self.promise(
            row.organization,
            TaskKind::SendInvitation {
                invitation,
                letter: 1,
            },
        );
    }

    pub(super) fn resend(&mut self, operation: &Operation) -> Answer {
        let (index, invitation) = self.for_actor(operation)?;
        let Invitation {
            organization,
            address,
            ..
        } = invitation;
        if !["pending", "expired"].contains(&invitation.status) {
            return refused_with("invitation_closed", invitation.status);
        }
        self.is_not_a_member(organization, address)?;
        match self.open_invitation(organization, address) {
            Some(other) if other != index => return refused_with("already_pending", other),
            _ => {}
        }
        let wait = invitation.last_letter_at + limits::RESEND_PAUSE - self.now;
        if wait > TimeDelta::zero() {
            return throttled("invitation", wait);
        }
        if self.status(index) != "pending" {
            self.has_seat_for(organization, Some(address))?;
        }
        self.has_letters_left(organization, operation.actor, address)?;
        self.count_letter(organization, operation.actor, address);
        self.renew(index, operation.actor);
        Ok(())
    }

    fn renew(&mut self, index: usize, actor: Account) {
        let now = self.now;
        let is_replaced = self.settings.rotate || self.status(index) != "pending";
        let invitation = &mut self.invitations[index];
        if ["failed", "suppressed"].contains(&invitation.delivery) {
            self.suppressed.remove(invitation.address.invitee);
        }
        invitation.status = "pending";
        invitation.delivery = "queued";
        invitation.granted_by = actor;
        invitation.letters += 1;
        invitation.last_letter_at = now;
        invitation.expires_at = now + self.settings.lifetime;
        invitation.closed_at = None;
        invitation.is_reminded = false;
        if is_replaced {
            invitation.replacements += 1;
            invitation.link_role = invitation.role;
        }
        let Invitation {
            organization,
            letters: letter,
            replacements,
            ..
        } = *invitation;
        if is_replaced {
            self.links.push(Link {
                invitation: index,
                replacements,
            });
        }
        self.record_event(
            "invitation_resent",
            organization,
            Some(actor),
            Subject::Invitation(index),
        );
        self.promise(
            organization,
            TaskKind::SendInvitation {
                invitation: index,
                letter,
            },
        );
    }

    pub(super) fn revoke(&mut self, operation: &Operation) -> Answer {
        let (index, _) = self.for_actor(operation)?;
        self.is_pending(index)?;
        self.close(index, "revoked", Some(operation.actor));
        Ok(())
    }

    pub(super) fn show_link(&mut self, operation: &Operation) -> Answer {
        let (index, invitation) = self.for_actor(operation)?;
        self.is_pending(index)?;
        if operation.conditions == Conditions::WithoutKeys {
            return refused("no_key");
        }
        let (organization, actor) = (invitation.organization, Some(operation.actor));
        self.record_event(
            "invitation_link_shown",
            organization,
            actor,
            Subject::Invitation(index),
        );
        Ok(())
    }

    /// The link then leads to the new role. Recording that takes a key, unless the link was made
    /// for that role.
    pub(super) fn change_invitation_role(&mut self, operation: &Operation) -> Answer {
        let (index, invitation) = self.for_actor(operation)?;
        let role = operation.row.role;
        self.may_grant(invitation.organization, operation.actor, role)?;
        self.is_pending(index)?;
        if invitation.role == role {
            return Ok(());
        }
        if invitation.link_role != role && operation.conditions == Conditions::WithoutKeys {
            return refused("no_key");
        }
        self.invitations[index].role = role;
        self.invitations[index].granted_by = operation.actor;
        let (organization, actor) = (invitation.organization, Some(operation.actor));
        let subject = Subject::Invitation(index);
        self.record_event("invitation_role_changed", organization, actor, subject);
        Ok(())
    }

    /// The invitation of an operation, if the actor may grant its role now.
    fn for_actor(&self, operation: &Operation) -> Result<(usize, Invitation), Refusal> {
        match operation.invitation {
            Some(index) if !self.invitations[index].is_gone => {
                let invitation = self.invitations[index].clone();
                self.may_grant(invitation.organization, operation.actor, invitation.role)?;
                Ok((index, invitation))
            }
            _ => refused("not_found"),
        }
    }

    /// Refuses a role that the actor's role does not include; a stranger learns nothing.
    fn may_grant(&self, organization: usize, actor: Account, role: &str) -> Answer {
        let actor = self.active(organization, actor)?;
        let roles = self.settings.roles;
        match (roles.knows(role), roles.may_invite(actor.role, role)) {
            (false, _) => refused_with("unknown_role", role),
            (true, false) => refused_with("forbidden", actor.role),
            (true, true) => Ok(()),
        }
    }

    fn is_not_a_member(&self, organization: usize, address: &Address) -> Answer {
        let members = self.organizations[organization].members.values();
        match { members }.any(|member| member.address.invitee == address.invitee) {
            true => refused("already_member"),
            false => Ok(()),
        }
    }

    /// The address's invitation that is recorded as pending, expired or not.
    fn open_invitation(&self, organization: usize, address: &Address) -> Option<usize> {
        self.invitations.iter().position(|invitation| {
            invitation.organization == organization
                && !invitation.is_gone
                && invitation.status == "pending"
                && invitation.address.invitee == address.invitee
        })
    }

    pub(super) fn status(&self, invitation: usize) -> &'static str {
        self.invitations[invitation].status_at(self.now)
    }

    /// Refuses an invitation that is not open, each status with its own reason.
    pub(super) fn is_pending(&self, index: usize) -> Answer {
        match self.status(index) {
            "pending" => Ok(()),
            "expired" => refused_with("invitation_expired", self.invitations[index].expires_at),
            closed => refused_with("invitation_closed", closed),
        }
    }

    pub(super) fn close(&mut self, index: usize, status: &'static str, actor: Option<Account>) {
        let invitation = &mut self.invitations[index];
        invitation.status = status;
        invitation.closed_at = Some(self.now);
        let organization = invitation.organization;
        let kind = match status {
            "revoked" => "invitation_revoked",
            "accepted" => "invitation_accepted",
            "declined" => "invitation_declined",
            _ => "invitation_expired",
        };
        self.record_event(kind, organization, actor, Subject::Invitation(index));
    }

    /// Checks the limits: letters within a sliding window, by recipient, actor and organization.
    fn has_letters_left(&self, organization: usize, actor: Account, address: &Address) -> Answer {
        if !self.settings.tight_limits {
            return Ok(());
        }
        let by_mailbox = |letter: &&Letter| letter.mailbox == address.mailbox;
        let by_actor = |letter: &&Letter| letter.actor == actor;
        let by_organization = |letter: &&Letter| letter.organization == organization;
        self.has_room("recipient", limits::RECIPIENT, by_mailbox)?;
        if !is_unbound(actor) {
            self.has_room("actor", limits::ACTOR, by_actor)?;
        }
        self.has_room("organization", limits::ORGANIZATION, by_organization)
    }

    fn has_room(&self, kind: &str, most: u32, counts: impl Fn(&&Letter) -> bool) -> Answer {
        let since = self.now - limits::WINDOW;
        let letters = self.letters.iter().filter(counts).map(|letter| letter.at);
        let mut recent: Vec<DateTime<Utc>> = letters.filter(|at| *at > since).collect();
        recent.sort();
        match recent.len().checked_sub(most as usize) {
            Some(surplus) => throttled(kind, recent[surplus] + limits::WINDOW - self.now),
            None => Ok(()),
        }
    }

    fn count_letter(&mut self, organization: usize, actor: Account, address: &Address) {
        let (at, mailbox) = (self.now, address.mailbox);
        self.letters.push(Letter {
            at,
            organization,
            actor,
            mailbox,
        });
    }
}

/// Refuses with the seconds until a letter is allowed again, rounded up so that waiting that long
/// is enough.
fn throttled(kind: &str, wait: TimeDelta) -> Answer {
    let whole = wait.num_seconds() + i64::from(wait.subsec_nanos() > 0);
    refused_with("throttled", format!("{kind} {whole}"))
}

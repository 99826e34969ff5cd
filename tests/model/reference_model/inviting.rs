//! Offering a membership: invite, resend, revoke, show the link.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Invitation, Letter, Link, Subject, What, World};
use crate::accounts::{Address, Person};
use crate::history::Manner;
use crate::limits;
use crate::operation::{Answer, Deed, Refusal, Row, refused, refused_saying};

impl World {
    /// Row by row, in the order of organizations and addresses; a refused row leaves the others.
    pub(super) fn invite_all(&mut self, deed: &Deed) -> Vec<Answer> {
        let mut rows: Vec<_> = deed.rows.iter().enumerate().collect();
        rows.sort_by_key(|(_, row)| (row.organization, row.address.invitee));
        let mut answers = Vec::new();
        for (place, row) in rows {
            answers.push((place, self.invite(deed.actor, row)));
        }
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    pub(super) fn invite(&mut self, actor: Person, row: &Row) -> Answer {
        let organization = row.organization;
        self.may_grant(organization, actor, row.role)?;
        self.is_no_member(organization, row.address)?;
        let open = self.open_invitation(organization, row.address);
        let pending = open.filter(|open| self.status(*open) == "pending");
        match pending {
            Some(pending) if !row.superseding => return refused_saying("already_pending", pending),
            Some(pending) => {
                self.may_grant(organization, actor, self.invitations[pending].role)?;
            }
            None => {}
        }
        self.has_seat_for(organization, Some(row.address))?;
        self.may_write(organization, actor, row.address)?;
        match (pending, open) {
            (Some(pending), _) => self.close(pending, "revoked", Some(actor)),
            (None, Some(overdue)) => self.close(overdue, "expired", None),
            (None, None) => {}
        }
        self.count_letter(organization, actor, row.address);
        self.add(actor, row);
        Ok(())
    }

    fn add(&mut self, actor: Person, row: &Row) {
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
        self.tell("invitation_created", row.organization, Some(actor), subject);
        self.promise(
            row.organization,
            What::SendInvitation {
                invitation,
                letter: 1,
            },
        );
    }

    pub(super) fn resend(&mut self, deed: &Deed) -> Answer {
        let (place, invitation) = self.for_actor(deed)?;
        let Invitation {
            organization,
            address,
            ..
        } = invitation;
        if !["pending", "expired"].contains(&invitation.status) {
            return refused_saying("invitation_closed", invitation.status);
        }
        self.is_no_member(organization, address)?;
        match self.open_invitation(organization, address) {
            Some(other) if other != place => return refused_saying("already_pending", other),
            _ => {}
        }
        let wait = invitation.last_letter_at + limits::RESEND_PAUSE - self.now;
        if wait > TimeDelta::zero() {
            return throttled("invitation", wait);
        }
        if self.status(place) != "pending" {
            self.has_seat_for(organization, Some(address))?;
        }
        self.may_write(organization, deed.actor, address)?;
        self.count_letter(organization, deed.actor, address);
        self.renew(place, deed.actor);
        Ok(())
    }

    fn renew(&mut self, place: usize, actor: Person) {
        let now = self.now;
        let is_replaced = self.settings.rotate || self.status(place) != "pending";
        let invitation = &mut self.invitations[place];
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
                invitation: place,
                replacements,
            });
        }
        self.tell(
            "invitation_resent",
            organization,
            Some(actor),
            Subject::Invitation(place),
        );
        self.promise(
            organization,
            What::SendInvitation {
                invitation: place,
                letter,
            },
        );
    }

    pub(super) fn revoke(&mut self, deed: &Deed) -> Answer {
        let (place, _) = self.for_actor(deed)?;
        self.is_pending(place)?;
        self.close(place, "revoked", Some(deed.actor));
        Ok(())
    }

    pub(super) fn show_link(&mut self, deed: &Deed) -> Answer {
        let (place, invitation) = self.for_actor(deed)?;
        self.is_pending(place)?;
        if deed.manner == Manner::WithoutKeys {
            return refused("no_key");
        }
        let (organization, actor) = (invitation.organization, Some(deed.actor));
        self.tell(
            "invitation_link_shown",
            organization,
            actor,
            Subject::Invitation(place),
        );
        Ok(())
    }

    /// The link leads to the new role then, which takes a key to write down, unless it was made for
    /// that role.
    pub(super) fn change_invitation_role(&mut self, deed: &Deed) -> Answer {
        let (place, invitation) = self.for_actor(deed)?;
        let role = deed.row.role;
        self.may_grant(invitation.organization, deed.actor, role)?;
        self.is_pending(place)?;
        if invitation.role == role {
            return Ok(());
        }
        if invitation.link_role != role && deed.manner == Manner::WithoutKeys {
            return refused("no_key");
        }
        self.invitations[place].role = role;
        self.invitations[place].granted_by = deed.actor;
        let (organization, actor) = (invitation.organization, Some(deed.actor));
        let subject = Subject::Invitation(place);
        self.tell("invitation_role_changed", organization, actor, subject);
        Ok(())
    }

    /// The invitation a deed speaks of, for an actor who could grant its role now.
    fn for_actor(&self, deed: &Deed) -> Result<(usize, Invitation), Refusal> {
        match deed.invitation {
            Some(place) if !self.invitations[place].is_gone => {
                let invitation = self.invitations[place].clone();
                self.may_grant(invitation.organization, deed.actor, invitation.role)?;
                Ok((place, invitation))
            }
            _ => refused("not_found"),
        }
    }

    /// Nobody grants what their role does not let them, and a stranger learns nothing.
    fn may_grant(&self, organization: usize, actor: Person, role: &str) -> Answer {
        let actor = self.active(organization, actor)?;
        let roles = self.settings.roles;
        match (roles.knows(role), roles.may_invite(actor.role, role)) {
            (false, _) => refused_saying("unknown_role", role),
            (true, false) => refused_saying("forbidden", actor.role),
            (true, true) => Ok(()),
        }
    }

    fn is_no_member(&self, organization: usize, address: &Address) -> Answer {
        let members = self.organizations[organization].members.values();
        match { members }.any(|member| member.address.invitee == address.invitee) {
            true => refused("already_member"),
            false => Ok(()),
        }
    }

    /// The address's invitation that nobody recorded as closed, whether or not its time is over.
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

    /// Refuses what is not open, each with its own reason.
    pub(super) fn is_pending(&self, place: usize) -> Answer {
        match self.status(place) {
            "pending" => Ok(()),
            "expired" => refused_saying("invitation_expired", self.invitations[place].expires_at),
            closed => refused_saying("invitation_closed", closed),
        }
    }

    pub(super) fn close(&mut self, place: usize, status: &'static str, actor: Option<Person>) {
        let invitation = &mut self.invitations[place];
        invitation.status = status;
        invitation.closed_at = Some(self.now);
        let organization = invitation.organization;
        let kind = match status {
            "revoked" => "invitation_revoked",
            "accepted" => "invitation_accepted",
            "declined" => "invitation_declined",
            _ => "invitation_expired",
        };
        self.tell(kind, organization, actor, Subject::Invitation(place));
    }

    /// The limits: letters within a sliding window, whoever and wherever they were caused.
    fn may_write(&self, organization: usize, actor: Person, address: &Address) -> Answer {
        if !self.settings.tight_limits {
            return Ok(());
        }
        let by_mailbox = |letter: &&Letter| letter.mailbox == address.mailbox;
        let by_actor = |letter: &&Letter| letter.actor == actor;
        let by_organization = |letter: &&Letter| letter.organization == organization;
        self.has_room("recipient", limits::RECIPIENT, by_mailbox)?;
        self.has_room("actor", limits::ACTOR, by_actor)?;
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

    fn count_letter(&mut self, organization: usize, actor: Person, address: &Address) {
        let (at, mailbox) = (self.now, address.mailbox);
        self.letters.push(Letter {
            at,
            organization,
            actor,
            mailbox,
        });
    }
}

/// Says when there is room again, in seconds, rounded up so that waiting that long is enough.
fn throttled(kind: &str, wait: TimeDelta) -> Answer {
    let whole = wait.num_seconds() + i64::from(wait.subsec_nanos() > 0);
    refused_saying("throttled", format!("{kind} {whole}"))
}

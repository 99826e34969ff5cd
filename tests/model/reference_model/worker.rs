//! What time does, and the worker.

use super::{Session, Subject, What, World};
use crate::limits;
use crate::operation::{Answer, Deed};

impl World {
    pub(super) fn pass(&mut self, deed: &Deed) -> Answer {
        self.now += deed.time;
        Ok(())
    }

    /// Writes down what holds already.
    pub(super) fn expire_due(&mut self) -> Answer {
        let mut due: Vec<_> = self.recorded_as_pending().collect();
        due.retain(|place| self.status(*place) == "expired");
        due.into_iter()
            .for_each(|place| self.close(place, "expired", None));
        Ok(())
    }

    /// Looks once at each invitation that ends soon; only a letter that arrived is reminded of.
    pub(super) fn remind_due(&mut self, deed: &Deed) -> Answer {
        let (now, horizon) = (self.now, self.now + deed.time);
        for place in self.recorded_as_pending().collect::<Vec<_>>() {
            let invitation = &mut self.invitations[place];
            let ends_soon = invitation.expires_at > now && invitation.expires_at <= horizon;
            if !ends_soon || invitation.is_reminded {
                continue;
            }
            invitation.is_reminded = true;
            let (organization, letter) = (invitation.organization, invitation.letters);
            if invitation.delivery == "sent" {
                self.promise(
                    organization,
                    What::SendReminder {
                        invitation: place,
                        letter,
                    },
                );
            }
        }
        Ok(())
    }

    fn recorded_as_pending(&self) -> impl Iterator<Item = usize> {
        let invitations = self.invitations.iter().enumerate();
        invitations
            .filter(|(_, invitation)| invitation.status == "pending" && !invitation.is_gone)
            .map(|(place, _)| place)
    }

    /// A report on the newest letter counts; one on an older letter changes nothing.
    pub(super) fn record_delivery(&mut self, deed: &Deed) -> Answer {
        let Some(place) = deed.invitation else {
            return Ok(());
        };
        let invitation = &mut self.invitations[place];
        let is_final = invitation.delivery == "failed";
        if invitation.is_gone || is_final || deed.reports_an_older_letter() {
            return Ok(());
        }
        invitation.delivery = deed.delivery();
        let (organization, invitee) = (invitation.organization, invitation.address.invitee);
        if deed.delivery() == "failed" {
            self.suppressed.insert(invitee);
            self.tell(
                "invitation_undeliverable",
                organization,
                None,
                Subject::Invitation(place),
            );
        }
        Ok(())
    }

    /// The worker deletes what ended, of one person or of everyone.
    pub(super) fn purge_sessions(&mut self, deed: &Deed) -> Answer {
        let sessions = &mut self.organizations[deed.organization].sessions;
        let is_meant = |who| deed.purges_everyone() || who == deed.whom;
        sessions.retain(|(who, _), session| !(is_meant(*who) && *session == Session::Ended));
        Ok(())
    }

    /// The worker did what was promised first.
    pub(super) fn settle(&mut self, deed: &Deed) -> Answer {
        let done = deed.settled().min(self.tasks.len());
        self.tasks.drain(..done);
        Ok(())
    }

    /// What no window reaches any more need not be counted.
    pub(super) fn forget_letters(&mut self) -> Answer {
        let before = self.now - limits::WINDOW;
        self.letters.retain(|letter| letter.at >= before);
        Ok(())
    }

    pub fn is_suppressed(&self, invitee: &str) -> bool {
        self.suppressed.contains(invitee)
    }
}

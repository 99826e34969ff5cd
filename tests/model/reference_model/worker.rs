//! The effects of time and of the worker.

use chrono::TimeDelta;

use super::{ReferenceModel, Session, Subject, TaskKind};
use crate::limits;
use crate::operation::{Answer, Operation};

impl ReferenceModel {
    pub(super) fn advance_time(&mut self, operation: &Operation) -> Answer {
        self.now += operation.time;
        Ok(())
    }

    /// Records the expiry of invitations that have already expired.
    pub(super) fn expire_due(&mut self) -> Answer {
        let mut due: Vec<_> = self.recorded_as_pending().collect();
        due.retain(|index| self.status(*index) == "expired");
        due.into_iter()
            .for_each(|index| self.close(index, "expired", None));
        Ok(())
    }

    /// Handles each invitation that ends soon once; a reminder is sent only if the letter was
    /// delivered.
    pub(super) fn remind_due(&mut self, operation: &Operation) -> Answer {
        let (now, horizon) = (self.now, self.now + operation.time);
        for index in self.recorded_as_pending().collect::<Vec<_>>() {
            let invitation = &mut self.invitations[index];
            let ends_soon = invitation.expires_at > now && invitation.expires_at <= horizon;
            if !ends_soon || invitation.is_reminded {
                continue;
            }
            invitation.is_reminded = true;
            let (organization, letter) = (invitation.organization, invitation.letters);
            if invitation.delivery == "sent" {
                self.promise(
                    organization,
                    TaskKind::SendReminder {
                        invitation: index,
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
            .map(|(index, _)| index)
    }

    /// Records a report on the newest letter; a report on an older letter changes nothing.
    pub(super) fn record_delivery(&mut self, operation: &Operation) -> Answer {
        let Some(index) = operation.invitation else {
            return Ok(());
        };
        let invitation = &mut self.invitations[index];
        let is_final = invitation.delivery == "failed";
        if invitation.is_gone || is_final || operation.reports_an_older_letter() {
            return Ok(());
        }
        invitation.delivery = operation.delivery();
        let (organization, invitee) = (invitation.organization, invitation.address.invitee);
        if operation.delivery() == "failed" {
            if operation.suppresses() {
                self.suppressed.insert(invitee, self.now);
            }
            self.record_event(
                "invitation_undeliverable",
                organization,
                None,
                Subject::Invitation(index),
            );
        }
        Ok(())
    }

    /// Deletes ended sessions, of one account or of all.
    pub(super) fn purge_sessions(&mut self, operation: &Operation) -> Answer {
        let sessions = &mut self.organizations[operation.organization].sessions;
        let is_meant = |account| operation.purges_everyone() || account == operation.target;
        sessions
            .retain(|(account, _), session| !(is_meant(*account) && *session == Session::Ended));
        Ok(())
    }

    /// Completes the oldest tasks.
    pub(super) fn settle(&mut self, operation: &Operation) -> Answer {
        let done = operation.settled().min(self.tasks.len());
        self.tasks.drain(..done);
        Ok(())
    }

    /// Deletes letters that no limit's window reaches any more.
    pub(super) fn forget_letters(&mut self) -> Answer {
        let before = self.now - limits::WINDOW;
        self.letters.retain(|letter| letter.at >= before);
        Ok(())
    }

    pub fn is_suppressed(&self, invitee: &str) -> bool {
        let since = self.now - TimeDelta::days(30);
        self.suppressed.get(invitee).is_some_and(|at| *at > since)
    }
}

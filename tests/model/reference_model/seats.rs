//! Seats: what takes one, and if one is left.

use super::{ReferenceModel, Subject};
use crate::accounts::{Address, HOST};
use crate::operation::{Answer, Operation, refused_with};

impl ReferenceModel {
    /// Sets the number of seats for the host. Members stay even if they are too many.
    pub(super) fn set_seats(&mut self, operation: &Operation) -> Answer {
        let organization = &mut self.organizations[operation.organization];
        if organization.is_gone {
            return refused_with("not_found", "");
        }
        if organization.seats == operation.seats() {
            return Ok(());
        }
        organization.seats = operation.seats();
        self.record_event(
            "seats_changed",
            operation.organization,
            Some(HOST),
            Subject::Organization,
        );
        Ok(())
    }

    /// Counts members with access only.
    pub(super) fn has_seat_for_a_member(&self, organization: usize) -> Answer {
        self.has_seat(organization, 0)
    }

    /// Counts pending invitations as well, except one to this address.
    pub(super) fn has_seat_for(&self, organization: usize, address: Option<&Address>) -> Answer {
        let others = self.invitations.iter().filter(|invitation| {
            invitation.organization == organization
                && !invitation.is_gone
                && invitation.status_at(self.now) == "pending"
                && address.is_none_or(|address| invitation.address.invitee != address.invitee)
        });
        let promised = if self.settings.pending_takes_a_seat {
            others.count()
        } else {
            0
        };
        self.has_seat(organization, promised)
    }

    fn has_seat(&self, organization: usize, promised: usize) -> Answer {
        let organization = &self.organizations[organization];
        let members = organization.members.values();
        let active = members
            .filter(|member| member.suspended_at.is_none())
            .count();
        match organization.seats.or(self.settings.seats) {
            Some(seats) if active + promised >= seats as usize => refused_with("no_seat", seats),
            _ => Ok(()),
        }
    }
}

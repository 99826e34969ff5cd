//! Seats: who takes one, and whether there is one left.

use super::{Subject, World};
use crate::accounts::Address;
use crate::operation::{Answer, Deed, refused_saying};

impl World {
    /// The host's own doing; who is in stays in.
    pub(super) fn set_seats(&mut self, deed: &Deed) -> Answer {
        let organization = &mut self.organizations[deed.organization];
        if organization.is_gone {
            return refused_saying("not_found", "");
        }
        if organization.seats == deed.seats() {
            return Ok(());
        }
        organization.seats = deed.seats();
        self.tell(
            "seats_changed",
            deed.organization,
            None,
            Subject::Organization,
        );
        Ok(())
    }

    /// Members with access count, and nobody else.
    pub(super) fn has_seat_for_a_member(&self, organization: usize) -> Answer {
        self.has_seat(organization, 0)
    }

    /// What is pending counts as well, but for what this address has pending already.
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
            Some(seats) if active + promised >= seats as usize => refused_saying("no_seat", seats),
            _ => Ok(()),
        }
    }
}

//! Resolves a step such as "the second owner" in the current state.

use super::ReferenceModel;
use crate::accounts::{
    ACCOUNTS, ADDRESSES, Account, Address, HOST, OPERATOR, addresses_of, is_unbound,
};
use crate::history::{Guest, InvitationChoice, Link, MemberChoice, Step, Verb};
use crate::operation::{Operation, Presented, Row};

const LOCALES: [&str; 3] = ["en", "de", "pt-BR"];

impl ReferenceModel {
    pub fn resolve(&self, step: &Step) -> Operation {
        let invitation = self.invitation_choice(step.invitation);
        let link = self.link(step, invitation);
        let organization = self.organization_of(step, invitation);
        let row = self.row(organization, step.address, step.role, step.superseding);
        let more = step.more.iter().map(|(index, address, role, superseding)| {
            // Most rows of a batch are of one organization.
            let index = if index % 4 == 0 {
                self.alive(*index)
            } else {
                organization
            };
            self.row(index, *address, *role, *superseding)
        });
        Operation {
            verb: step.verb,
            conditions: step.conditions,
            organization,
            actor: self.actor(step, organization),
            target: self.member_choice(step.target, organization),
            guest: self.guest(step, link),
            invitation,
            link,
            rows: std::iter::once(row.clone()).chain(more).collect(),
            row,
            time: step.time,
            choice: step.choice,
        }
    }

    /// The organization of a step: that of its invitation, or one that in most cases exists.
    fn organization_of(&self, step: &Step, invitation: Option<usize>) -> usize {
        match (step.verb, invitation) {
            (
                Verb::Resend | Verb::Revoke | Verb::ShowLink | Verb::ChangeInvitationRole,
                Some(index),
            ) => self.invitations[index].organization,
            _ => self.alive(step.organization),
        }
    }

    fn alive(&self, nth: usize) -> usize {
        let all = 0..self.organizations.len();
        let alive: Vec<_> = all
            .filter(|index| !self.organizations[*index].is_gone)
            .collect();
        match alive.is_empty() || nth.is_multiple_of(20) {
            true => nth / 20 % self.organizations.len(),
            false => alive[nth % alive.len()],
        }
    }

    fn row(&self, organization: usize, address: usize, role: usize, superseding: bool) -> Row {
        let names = self.settings.roles.names();
        let role = if role.is_multiple_of(20) {
            "boss"
        } else {
            names[role % names.len()]
        };
        let locale = LOCALES[address / ADDRESSES.len() % LOCALES.len()];
        let address = &ADDRESSES[address % ADDRESSES.len()];
        Row {
            organization,
            address,
            role,
            locale,
            superseding,
        }
    }

    /// The actor; only a member can leave.
    fn actor(&self, step: &Step, organization: usize) -> Account {
        match self.member_choice(step.actor, organization) {
            actor if step.verb == Verb::Leave && is_unbound(actor) => {
                self.member_choice(step.target, organization)
            }
            actor => actor,
        }
    }

    fn member_choice(&self, choice: MemberChoice, organization: usize) -> Account {
        let members = self.organizations[organization].members.keys().copied();
        let (accounts, nth): (Vec<Account>, _) = match choice {
            MemberChoice::Owner(nth) => (self.owners(organization).collect(), nth),
            MemberChoice::Member(nth) => (members.collect(), nth),
            MemberChoice::Newest => (self.newest(organization).collect(), 0),
            MemberChoice::Anyone(nth) => (ACCOUNTS.to_vec(), nth),
            MemberChoice::Host => return HOST,
            MemberChoice::Operator => return OPERATOR,
        };
        match accounts.is_empty() {
            true => ACCOUNTS[nth % ACCOUNTS.len()],
            false => accounts[nth % accounts.len()],
        }
    }

    fn newest(&self, organization: usize) -> impl Iterator<Item = Account> {
        let members = self.organizations[organization].members.iter();
        let newest = members.max_by_key(|(_, member)| member.joined_at);
        newest.map(|(account, _)| *account).into_iter()
    }

    fn invitation_choice(&self, choice: InvitationChoice) -> Option<usize> {
        let all = (0..self.invitations.len()).rev();
        let (indexes, nth): (Vec<_>, _) = match choice {
            InvitationChoice::Open(nth) => {
                let is_open = |index: &usize| {
                    self.status(*index) == "pending" && !self.invitations[*index].is_gone
                };
                (all.filter(is_open).collect(), nth)
            }
            InvitationChoice::Any(nth) => (all.collect(), nth),
            InvitationChoice::Unknown => return None,
        };
        (!indexes.is_empty()).then(|| indexes[nth % indexes.len()])
    }

    fn link(&self, step: &Step, invitation: Option<usize>) -> Presented {
        let of_it = |link: &usize| Some(self.links[*link].invitation) == invitation;
        let made: Vec<_> = (0..self.links.len()).rev().filter(of_it).collect();
        match step.link {
            Link::Made(nth) if !made.is_empty() => Presented::Made(made[nth % made.len()]),
            Link::First if !made.is_empty() => Presented::Made(made[made.len() - 1]),
            forged => Presented::Forged(forged, made.first().copied()),
        }
    }

    /// The account that presents the link.
    fn guest(&self, step: &Step, link: Presented) -> (Account, &'static Address, bool) {
        let (index, address) = match (step.guest, link) {
            (Guest::Invited(nth), Presented::Made(link)) => (
                nth,
                Some(self.invitations[self.links[link].invitation].address),
            ),
            (Guest::Invited(nth) | Guest::Anyone(nth), _) => (nth, None),
        };
        let account = match address {
            Some(address) => address.accounts[index % address.accounts.len()],
            None => ACCOUNTS[index % ACCOUNTS.len()],
        };
        let is_spelling = |own: &&Address| address.is_none_or(|it| it.invitee == own.invitee);
        let own: Vec<_> = addresses_of(account).filter(is_spelling).collect();
        (account, own[index / 2 % own.len()], step.is_verified)
    }
}

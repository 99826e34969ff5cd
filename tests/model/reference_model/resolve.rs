//! From "the second owner" to a person: what a step of a history means in the state at hand.

use super::World;
use crate::accounts::{ADDRESSES, Address, PEOPLE, Person, addresses_of};
use crate::history::{Guest, Link, Step, Verb, Which, Who};
use crate::operation::{Deed, Presented, Row};

const LOCALES: [&str; 3] = ["en", "de", "pt-BR"];

impl World {
    pub fn resolve(&self, step: &Step) -> Deed {
        let invitation = self.which(step.which);
        let link = self.link(step, invitation);
        let organization = self.organization_of(step, invitation);
        let row = self.row(organization, step.address, step.role, step.superseding);
        let more = step.more.iter().map(|(place, address, role, superseding)| {
            // Most rows of a batch are of one organization.
            let place = if place % 4 == 0 {
                self.alive(*place)
            } else {
                organization
            };
            self.row(place, *address, *role, *superseding)
        });
        Deed {
            verb: step.verb,
            manner: step.manner,
            organization,
            actor: self.who(step.actor, organization),
            whom: self.who(step.whom, organization),
            guest: self.guest(step, link),
            invitation,
            link,
            rows: std::iter::once(row.clone()).chain(more).collect(),
            row,
            time: step.time,
            choice: step.choice,
        }
    }

    /// Where a step happens: where its invitation is, or in an organization that mostly exists.
    fn organization_of(&self, step: &Step, invitation: Option<usize>) -> usize {
        match (step.verb, invitation) {
            (
                Verb::Resend | Verb::Revoke | Verb::ShowLink | Verb::ChangeInvitationRole,
                Some(place),
            ) => self.invitations[place].organization,
            _ => self.alive(step.organization),
        }
    }

    fn alive(&self, nth: usize) -> usize {
        let all = 0..self.organizations.len();
        let alive: Vec<_> = all
            .filter(|place| !self.organizations[*place].is_gone)
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

    fn who(&self, who: Who, organization: usize) -> Person {
        let members = self.organizations[organization].members.keys().copied();
        let (people, nth): (Vec<Person>, _) = match who {
            Who::Owner(nth) => (self.owners(organization).collect(), nth),
            Who::Member(nth) => (members.collect(), nth),
            Who::Newest => (self.newest(organization).collect(), 0),
            Who::Anyone(nth) => (PEOPLE.to_vec(), nth),
        };
        match people.is_empty() {
            true => PEOPLE[nth % PEOPLE.len()],
            false => people[nth % people.len()],
        }
    }

    fn newest(&self, organization: usize) -> impl Iterator<Item = Person> {
        let members = self.organizations[organization].members.iter();
        let newest = members.max_by_key(|(_, member)| member.joined_at);
        newest.map(|(person, _)| *person).into_iter()
    }

    fn which(&self, which: Which) -> Option<usize> {
        let all = (0..self.invitations.len()).rev();
        let (places, nth): (Vec<_>, _) = match which {
            Which::Open(nth) => {
                let is_open = |place: &usize| {
                    self.status(*place) == "pending" && !self.invitations[*place].is_gone
                };
                (all.filter(is_open).collect(), nth)
            }
            Which::Any(nth) => (all.collect(), nth),
            Which::Unknown => return None,
        };
        (!places.is_empty()).then(|| places[nth % places.len()])
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

    /// Who comes with the link.
    fn guest(&self, step: &Step, link: Presented) -> (Person, &'static Address, bool) {
        let (place, address) = match (step.guest, link) {
            (Guest::Invited(nth), Presented::Made(link)) => (
                nth,
                Some(self.invitations[self.links[link].invitation].address),
            ),
            (Guest::Invited(nth) | Guest::Anyone(nth), _) => (nth, None),
        };
        let person = match address {
            Some(address) => address.accounts[place % address.accounts.len()],
            None => PEOPLE[place % PEOPLE.len()],
        };
        let is_spelling = |own: &&Address| address.is_none_or(|it| it.invitee == own.invitee);
        let own: Vec<_> = addresses_of(person).filter(is_spelling).collect();
        (person, own[place / 2 % own.len()], step.is_verified)
    }
}

//! The model: what the rules say an organization's members, invitations and promises are after
//! each deed. Written from the rules alone; it knows no SQL, no lock and nothing of the library.

mod answering;
mod inviting;
mod membership;
mod resolve;
mod seats;
mod suspending;
mod worker;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::accounts::{Address, Person};
use crate::history::{Manner, Settings, Verb};
use crate::operation::{Answer, Deed, Refusal, refused};
use crate::rules::OWNER;

#[derive(Debug, Clone, PartialEq)]
pub struct World {
    pub settings: Settings,
    pub now: DateTime<Utc>,
    /// All there ever were, and so are the invitations and links: places do not move.
    pub organizations: Vec<Organization>,
    pub invitations: Vec<Invitation>,
    pub links: Vec<Link>,
    letters: Vec<Letter>,
    suppressed: BTreeSet<&'static str>,
    /// What is still to be done.
    pub tasks: Vec<Task>,
    /// What the deed at hand wrote into the history, organization by organization.
    pub told: Vec<Told>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Organization {
    pub name: &'static str,
    pub is_gone: bool,
    /// Its own number of seats, where the host gave it one.
    pub seats: Option<u32>,
    pub members: BTreeMap<Person, Member>,
    pub sessions: BTreeMap<(Person, usize), Session>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub address: &'static Address,
    pub role: &'static str,
    pub locale: &'static str,
    pub joined_at: DateTime<Utc>,
    pub suspended_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    Live(DateTime<Utc>),
    Ended,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Invitation {
    pub organization: usize,
    pub is_gone: bool,
    pub address: &'static Address,
    pub role: &'static str,
    /// The role the newest link was made for.
    link_role: &'static str,
    pub locale: &'static str,
    /// What was recorded last; time may know better.
    pub status: &'static str,
    pub delivery: &'static str,
    pub granted_by: Person,
    pub accepted_by: Option<Person>,
    pub letters: i64,
    pub last_letter_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    is_reminded: bool,
    /// How often its link was replaced.
    pub replacements: usize,
}

/// A link that was made: for which invitation, after how many replacements.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub invitation: usize,
    pub replacements: usize,
}

/// A letter as the limits count it.
#[derive(Debug, Clone, PartialEq)]
struct Letter {
    at: DateTime<Utc>,
    organization: usize,
    actor: Person,
    mailbox: &'static str,
}

/// A line of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub organization: usize,
    pub kind: &'static str,
    pub actor: Option<Person>,
    pub subject: Subject,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Organization,
    Invitation(usize),
    Person(Person),
}

/// A message of the outbox, and the organization it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    pub organization: usize,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    SendInvitation {
        invitation: usize,
        letter: i64,
    },
    SendReminder {
        invitation: usize,
        letter: i64,
    },
    /// Of the event of that kind about that subject.
    SendNotice {
        kind: &'static str,
        subject: Subject,
    },
    PurgeSessions {
        user: Option<Person>,
    },
}

impl World {
    pub fn new(settings: Settings, now: DateTime<Utc>) -> Self {
        Self {
            settings,
            now,
            organizations: Vec::new(),
            invitations: Vec::new(),
            links: Vec::new(),
            letters: Vec::new(),
            suppressed: BTreeSet::new(),
            tasks: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Does the deed, where the rules allow it, and says what the library has to answer.
    pub fn apply(&mut self, deed: &Deed) -> Vec<Answer> {
        self.told.clear();
        if let Err(refusal) = self.may_begin(deed) {
            return vec![Err(refusal)];
        }
        let before = self.clone();
        let answers = match deed.verb {
            Verb::InviteAll => self.invite_all(deed),
            _ => vec![self.answer(deed)],
        };
        if answers.iter().all(Result::is_err) {
            assert_eq!(*self, before, "the model itself wrote amid a refusal");
        }
        answers
    }

    fn answer(&mut self, deed: &Deed) -> Answer {
        match deed.verb {
            Verb::Create => self.create(deed),
            Verb::Rename => self.rename(deed),
            Verb::Delete => self.delete(deed),
            Verb::Invite => self.invite(deed.actor, &deed.row),
            Verb::InviteAll => unreachable!("answered row by row"),
            Verb::Resend => self.resend(deed),
            Verb::Revoke => self.revoke(deed),
            Verb::ShowLink => self.show_link(deed),
            Verb::Open => self.open(deed),
            Verb::Accept => self.accept(deed),
            Verb::Decline => self.decline(deed),
            Verb::ChangeRole => self.change_role(deed),
            Verb::TransferOwnership => self.transfer_ownership(deed),
            Verb::Remove => self.remove(deed),
            Verb::Leave => self.leave(deed),
            Verb::ChangeInvitationRole => self.change_invitation_role(deed),
            Verb::Suspend => self.suspend(deed),
            Verb::Reinstate => self.reinstate(deed),
            Verb::SetSeats => self.set_seats(deed),
            Verb::ForgetUser => self.forget_user(deed),
            Verb::RecordSession => self.record_session(deed),
            Verb::ForgetSession => self.forget_session(deed),
            Verb::Pass => self.pass(deed),
            Verb::ExpireDue => self.expire_due(),
            Verb::RemindDue => self.remind_due(deed),
            Verb::RecordDelivery => self.record_delivery(deed),
            Verb::PurgeSessions => self.purge_sessions(deed),
            Verb::Settle => self.settle(deed),
            Verb::ForgetLetters => self.forget_letters(),
        }
    }

    /// Changes need a transaction, and links need a key.
    fn may_begin(&self, deed: &Deed) -> Answer {
        let is_lent = match deed.verb {
            Verb::Open | Verb::ForgetSession | Verb::Pass => true,
            Verb::PurgeSessions | Verb::Settle | Verb::ForgetLetters => true,
            _ => deed.manner != Manner::WithoutTransaction,
        };
        let reads_link = matches!(deed.verb, Verb::Open | Verb::Accept | Verb::Decline);
        match (is_lent, reads_link && deed.manner == Manner::WithoutKeys) {
            (false, _) => refused("no_transaction"),
            (true, true) => refused("no_key"),
            (true, false) => Ok(()),
        }
    }

    /// Whether nothing but time went on, and nothing was told.
    pub fn changes_nothing_since(&self, before: &Self) -> bool {
        let (now, told) = (self.now, Vec::new());
        *self
            == Self {
                now,
                told,
                ..before.clone()
            }
    }

    /// Who has access. To whoever has none, or is kept out, nothing exists.
    fn active(&self, organization: usize, person: Person) -> Result<Member, Refusal> {
        match self.member(organization, person) {
            Some(member) if member.suspended_at.is_none() => Ok(member.clone()),
            _ => refused("not_found"),
        }
    }

    pub fn member(&self, organization: usize, person: Person) -> Option<&Member> {
        self.organizations[organization].members.get(person)
    }

    /// The owners with access.
    fn owners(&self, organization: usize) -> impl Iterator<Item = Person> {
        let members = self.organizations[organization].members.iter();
        let active = members.filter(|(_, member)| member.suspended_at.is_none());
        active
            .filter(|(_, member)| member.role == OWNER)
            .map(|(person, _)| *person)
    }

    /// Writes a line of the history and, where it concerns someone else, the promise of a notice.
    fn tell(
        &mut self,
        kind: &'static str,
        organization: usize,
        actor: Option<Person>,
        subject: Subject,
    ) {
        let is_about_another = match &subject {
            Subject::Person(person) => actor != Some(*person),
            _ => true,
        };
        let has_reader = match kind {
            "invitation_accepted"
            | "invitation_declined"
            | "invitation_expired"
            | "invitation_undeliverable" => true,
            "role_changed"
            | "ownership_transferred"
            | "member_removed"
            | "member_suspended"
            | "member_reinstated" => is_about_another,
            _ => false,
        };
        if has_reader {
            let subject = subject.clone();
            self.promise(organization, What::SendNotice { kind, subject });
        }
        self.told.push(Told {
            organization,
            kind,
            actor,
            subject,
        });
    }

    fn promise(&mut self, organization: usize, what: What) {
        self.tasks.push(Task { organization, what });
    }
}

impl Invitation {
    /// What holds at `now`: time decides, to the microsecond.
    pub fn status_at(&self, now: DateTime<Utc>) -> &'static str {
        match self.status {
            "pending" if now >= self.expires_at => "expired",
            status => status,
        }
    }
}

//! The reference model: the members, invitations and tasks that an organization must have after
//! each operation. Written from the rules alone, without SQL, locks or code of the library.

mod answering;
mod inviting;
mod membership;
mod resolve;
mod seats;
mod suspending;
mod worker;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::accounts::{ADDRESSES, Account, Address, is_unbound};
use crate::history::{Conditions, Settings, Verb};
use crate::operation::{Answer, Operation, Refusal, refused};
use crate::rules::{OWNER, UNBOUND};

#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceModel {
    pub settings: Settings,
    pub now: DateTime<Utc>,
    /// All organizations that were ever created, like the invitations and links, so that an index
    /// stays valid.
    pub organizations: Vec<Organization>,
    pub invitations: Vec<Invitation>,
    pub links: Vec<Link>,
    letters: Vec<Letter>,
    suppressed: BTreeMap<&'static str, DateTime<Utc>>,
    /// The tasks that are not done yet.
    pub tasks: Vec<Task>,
    /// The events that the current operation must write, by organization.
    pub events: Vec<ExpectedEvent>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Organization {
    pub name: &'static str,
    pub is_gone: bool,
    /// The organization's own number of seats, if the host set one.
    pub seats: Option<u32>,
    pub members: BTreeMap<Account, Member>,
    pub sessions: BTreeMap<(Account, usize), Session>,
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
    /// The role for which the newest link was made.
    link_role: &'static str,
    pub locale: &'static str,
    /// The status as last recorded; an invitation may have expired since.
    pub status: &'static str,
    pub delivery: &'static str,
    pub granted_by: Account,
    pub accepted_by: Option<Account>,
    pub letters: i64,
    pub last_letter_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub closed_at: Option<DateTime<Utc>>,
    is_reminded: bool,
    /// The number of times its link was replaced.
    pub replacements: usize,
}

/// A link with the invitation it was made for and the number of replacements before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub invitation: usize,
    pub replacements: usize,
}

/// A letter as counted by the limits.
#[derive(Debug, Clone, PartialEq)]
struct Letter {
    at: DateTime<Utc>,
    organization: usize,
    actor: Account,
    mailbox: &'static str,
}

/// An event that the library must write.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedEvent {
    pub organization: usize,
    pub kind: &'static str,
    pub actor: Option<Account>,
    pub subject: Subject,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Organization,
    Invitation(usize),
    Account(Account),
}

/// A message of the outbox, and the organization it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    pub organization: usize,
    pub kind: TaskKind,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskKind {
    SendInvitation {
        invitation: usize,
        letter: i64,
    },
    SendReminder {
        invitation: usize,
        letter: i64,
    },
    /// A notice about the event of this kind with this subject.
    SendNotice {
        kind: &'static str,
        subject: Subject,
    },
    PurgeSessions {
        user: Option<Account>,
    },
}

impl ReferenceModel {
    pub fn new(settings: Settings, now: DateTime<Utc>) -> Self {
        Self {
            settings,
            now,
            organizations: Vec::new(),
            invitations: Vec::new(),
            links: Vec::new(),
            letters: Vec::new(),
            suppressed: BTreeMap::new(),
            tasks: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Performs the operation if the rules allow it, and returns the answer expected of the
    /// library.
    pub fn apply(&mut self, operation: &Operation) -> Vec<Answer> {
        self.events.clear();
        if let Err(refusal) = self.may_begin(operation) {
            return vec![Err(refusal)];
        }
        let before = self.clone();
        let answers = match operation.verb {
            Verb::InviteAll => self.invite_all(operation),
            _ => vec![self.answer(operation)],
        };
        if answers.iter().all(Result::is_err) {
            assert_eq!(*self, before, "the model changed during a refusal");
        }
        answers
    }

    fn answer(&mut self, operation: &Operation) -> Answer {
        match operation.verb {
            Verb::Create => self.create(operation),
            Verb::Rename => self.rename(operation),
            Verb::Delete => self.delete(operation),
            Verb::Invite => self.invite(operation.actor, &operation.row),
            Verb::InviteAll => unreachable!("answered row by row"),
            Verb::Resend => self.resend(operation),
            Verb::Revoke => self.revoke(operation),
            Verb::ShowLink => self.show_link(operation),
            Verb::Open => self.open(operation),
            Verb::Accept => self.accept(operation),
            Verb::Decline => self.decline(operation),
            Verb::ChangeRole => self.change_role(operation),
            Verb::TransferOwnership => self.transfer_ownership(operation),
            Verb::Remove => self.remove(operation),
            Verb::Leave => self.leave(operation),
            Verb::ChangeInvitationRole => self.change_invitation_role(operation),
            Verb::Suspend => self.suspend(operation),
            Verb::Reinstate => self.reinstate(operation),
            Verb::SetSeats => self.set_seats(operation),
            Verb::ForgetUser => self.forget_user(operation),
            Verb::RecordSession => self.record_session(operation),
            Verb::ForgetSession => self.forget_session(operation),
            Verb::AdvanceTime => self.advance_time(operation),
            Verb::ExpireDue => self.expire_due(),
            Verb::RemindDue => self.remind_due(operation),
            Verb::RecordDelivery => self.record_delivery(operation),
            Verb::PurgeSessions => self.purge_sessions(operation),
            Verb::Settle => self.settle(operation),
            Verb::ForgetLetters => self.forget_letters(),
        }
    }

    /// Refuses changes without a transaction, and links without a key.
    fn may_begin(&self, operation: &Operation) -> Answer {
        let is_lent = match operation.verb {
            Verb::Open | Verb::ForgetSession | Verb::AdvanceTime => true,
            Verb::PurgeSessions | Verb::ForgetLetters => true,
            _ => operation.conditions != Conditions::WithoutTransaction,
        };
        let reads_link = matches!(operation.verb, Verb::Open | Verb::Accept | Verb::Decline);
        match (
            is_lent,
            reads_link && operation.conditions == Conditions::WithoutKeys,
        ) {
            (false, _) => refused("no_transaction"),
            (true, true) => refused("no_key"),
            (true, false) => Ok(()),
        }
    }

    /// Nothing but the time differs, and no event was written.
    pub fn changes_nothing_since(&self, before: &Self) -> bool {
        let (now, events) = (self.now, Vec::new());
        *self
            == Self {
                now,
                events,
                ..before.clone()
            }
    }

    /// Returns the member if they have access. For everyone else nothing is found. The host and an
    /// operator are as a member with every right, in each organization that exists.
    fn active(&self, organization: usize, account: Account) -> Result<Member, Refusal> {
        if is_unbound(account) && !self.organizations[organization].is_gone {
            return Ok(Member {
                address: &ADDRESSES[0],
                role: UNBOUND,
                locale: "en",
                joined_at: self.now,
                suspended_at: None,
            });
        }
        match self.member(organization, account) {
            Some(member) if member.suspended_at.is_none() => Ok(member.clone()),
            _ => refused("not_found"),
        }
    }

    pub fn member(&self, organization: usize, account: Account) -> Option<&Member> {
        self.organizations[organization].members.get(account)
    }

    /// The owners with access.
    fn owners(&self, organization: usize) -> impl Iterator<Item = Account> {
        let members = self.organizations[organization].members.iter();
        let active = members.filter(|(_, member)| member.suspended_at.is_none());
        active
            .filter(|(_, member)| member.role == OWNER)
            .map(|(account, _)| *account)
    }

    /// Records an event and, if it concerns another account, the task to send a notice.
    fn record_event(
        &mut self,
        kind: &'static str,
        organization: usize,
        actor: Option<Account>,
        subject: Subject,
    ) {
        let is_about_another = match &subject {
            Subject::Account(account) => actor != Some(*account),
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
            self.promise(organization, TaskKind::SendNotice { kind, subject });
        }
        self.events.push(ExpectedEvent {
            organization,
            kind,
            actor,
            subject,
        });
    }

    fn promise(&mut self, organization: usize, kind: TaskKind) {
        self.tasks.push(Task { organization, kind });
    }
}

impl Invitation {
    /// The status at `now`; an invitation expires to the microsecond.
    pub fn status_at(&self, now: DateTime<Utc>) -> &'static str {
        match self.status {
            "pending" if now >= self.expires_at => "expired",
            status => status,
        }
    }
}

//! A step of a history with every choice resolved: which account acts, and on what.

use std::fmt;

use chrono::TimeDelta;

use crate::accounts::{ADDRESSES, Account, Address, NAMES};
use crate::history::{Conditions, Link, Verb};
use crate::rules::OWNER;

/// The possible results of a letter.
const DELIVERIES: [&str; 4] = ["sent", "deferred", "failed", "suppressed"];

/// An operation for both the library and the model.
#[derive(Debug, Clone)]
pub struct Operation {
    pub verb: Verb,
    pub conditions: Conditions,
    /// The index of an organization among all that were ever created.
    pub organization: usize,
    pub actor: Account,
    pub target: Account,
    /// The user of the host: an account, its address at that time, and if the address is verified.
    pub guest: (Account, &'static Address, bool),
    /// The index of an invitation among all that were ever created; `None` for an unknown id.
    pub invitation: Option<usize>,
    pub link: Presented,
    pub row: Row,
    /// The rows of a bulk invite.
    pub rows: Vec<Row>,
    pub time: TimeDelta,
    pub choice: usize,
}

/// One invite.
#[derive(Debug, Clone)]
pub struct Row {
    pub organization: usize,
    pub address: &'static Address,
    pub role: &'static str,
    pub locale: &'static str,
    pub superseding: bool,
}

/// A link as presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// The index of a link among all that were ever made.
    Made(usize),
    /// A forged link of this kind, based on the newest link if there is one.
    Forged(Link, Option<usize>),
}

/// The reason of a refusal: its code, and the data that comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub detail: String,
}

/// The result of an operation; a bulk invite has one for each row.
pub type Answer = Result<(), Refusal>;

pub fn refused<T>(code: &'static str) -> Result<T, Refusal> {
    refused_with(code, "")
}

pub fn refused_with<T>(code: &'static str, detail: impl ToString) -> Result<T, Refusal> {
    let detail = detail.to_string();
    Err(Refusal { code, detail })
}

impl Operation {
    /// Creates an organization; every history begins with two of these.
    pub fn founding(nth: usize) -> Self {
        let address = &ADDRESSES[nth];
        let (founder, organization, role) = (address.accounts[0], 0, OWNER);
        let row = Row {
            organization,
            address,
            role,
            locale: "en",
            superseding: false,
        };
        Self {
            verb: Verb::Create,
            conditions: Conditions::Usual,
            organization,
            actor: founder,
            target: founder,
            guest: (founder, address, true),
            invitation: None,
            link: Presented::Forged(Link::Nonsense, None),
            row,
            rows: Vec::new(),
            time: TimeDelta::zero(),
            choice: nth,
        }
    }

    /// The details are compared as well: only after operations that may change more than the lists
    /// show, one time in six, since it is slow.
    pub fn has_details(&self) -> bool {
        let is_other = matches!(
            self.verb,
            Verb::Create
                | Verb::Rename
                | Verb::Invite
                | Verb::InviteAll
                | Verb::Revoke
                | Verb::ShowLink
                | Verb::Open
                | Verb::Decline
                | Verb::SetSeats
                | Verb::Settle
                | Verb::ForgetLetters
        );
        !is_other && (self.choice / 8).is_multiple_of(6)
    }

    pub fn spans_organizations(&self) -> bool {
        matches!(self.verb, Verb::InviteAll | Verb::ForgetUser)
    }
}

/// The meanings of `choice`, by verb.
impl Operation {
    pub fn delivery(&self) -> &'static str {
        DELIVERIES[self.choice % DELIVERIES.len()]
    }

    pub fn reports_an_older_letter(&self) -> bool {
        self.choice.is_multiple_of(3)
    }

    /// Returns `true` if a failure says that the mailbox is missing.
    pub fn suppresses(&self) -> bool {
        !self.choice.is_multiple_of(5)
    }

    pub fn purges_everyone(&self) -> bool {
        self.choice.is_multiple_of(2)
    }

    /// The number of oldest messages that the worker has completed.
    pub fn settled(&self) -> usize {
        self.choice % 8
    }

    /// The number of seats the host gives an organization, if any.
    pub fn seats(&self) -> Option<u32> {
        [None, Some(0), Some(2), Some(3), Some(5), Some(8)][self.choice % 6]
    }

    pub fn session(&self) -> usize {
        self.choice % 3
    }

    pub fn name(&self) -> &'static str {
        NAMES[self.choice % NAMES.len()]
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            organization,
            actor,
            target,
            choice,
            ..
        } = self;
        write!(f, "{verb:?} in {organization} by {actor}")?;
        match verb {
            Verb::Invite => write!(f, " {}", self.row)?,
            Verb::InviteAll => self.rows.iter().try_for_each(|row| write!(f, " [{row}]"))?,
            Verb::Resend | Verb::Revoke | Verb::ShowLink | Verb::RecordDelivery => {
                write!(f, " of invitation {:?}, choice {choice}", self.invitation)?;
            }
            Verb::Open | Verb::Decline => write!(f, " with {:?}", self.link)?,
            Verb::Accept | Verb::Create | Verb::ForgetUser => {
                let (account, address, verified) = self.guest;
                let address = address.typed;
                write!(f, " with {:?} as {account} {address} {verified}", self.link)?;
            }
            Verb::ChangeInvitationRole => {
                write!(
                    f,
                    " of invitation {:?} to {}",
                    self.invitation, self.row.role
                )?;
            }
            Verb::SetSeats => write!(f, " to {:?}", self.seats())?,
            Verb::ChangeRole => write!(f, " of {target} to {}", self.row.role)?,
            Verb::AdvanceTime => write!(f, " {}", self.time)?,
            _ => write!(f, " of {target}, choice {choice}")?,
        }
        match self.conditions {
            Conditions::Usual => Ok(()),
            conditions => write!(f, " {conditions:?}"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            organization,
            address,
            role,
            superseding,
            ..
        } = self;
        let superseding = if *superseding { " superseding" } else { "" };
        write!(
            f,
            "{} as {role} to {organization}{superseding}",
            address.typed
        )
    }
}

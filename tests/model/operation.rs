//! A step of a history as it is done: who exactly, to whom exactly.

use std::fmt;

use chrono::TimeDelta;

use crate::accounts::{ADDRESSES, Address, NAMES, Person};
use crate::history::{Link, Manner, Verb};
use crate::rules::OWNER;

/// How a letter can fare.
const DELIVERIES: [&str; 4] = ["sent", "deferred", "failed", "suppressed"];

/// What is asked of the library and of the model.
#[derive(Debug, Clone)]
pub struct Deed {
    pub verb: Verb,
    pub manner: Manner,
    /// The place of an organization among all there ever were.
    pub organization: usize,
    pub actor: Person,
    pub whom: Person,
    /// Whom the host vouches for: an account, its address at that time, whether that is proven.
    pub guest: (Person, &'static Address, bool),
    /// The place of an invitation among all there ever were; `None` for an id that nobody has.
    pub invitation: Option<usize>,
    pub link: Presented,
    pub row: Row,
    /// The rows of a bulk invite.
    pub rows: Vec<Row>,
    pub time: TimeDelta,
    pub choice: usize,
}

/// An invite.
#[derive(Debug, Clone)]
pub struct Row {
    pub organization: usize,
    pub address: &'static Address,
    pub role: &'static str,
    pub locale: &'static str,
    pub superseding: bool,
}

/// A link as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// The place of a link among all that ever were made.
    Made(usize),
    /// One nobody made, of this shape.
    Forged(Link, Option<usize>),
}

/// Why something is refused: the code, and what else the refusal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub says: String,
}

/// What became of a deed; of several for a bulk invite.
pub type Answer = Result<(), Refusal>;

pub fn refused<T>(code: &'static str) -> Result<T, Refusal> {
    refused_saying(code, "")
}

pub fn refused_saying<T>(code: &'static str, says: impl ToString) -> Result<T, Refusal> {
    let says = says.to_string();
    Err(Refusal { code, says })
}

impl Deed {
    /// How every history begins.
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
            manner: Manner::Usual,
            organization,
            actor: founder,
            whom: founder,
            guest: (founder, address, true),
            invitation: None,
            link: Presented::Forged(Link::Nonsense, None),
            row,
            rows: Vec::new(),
            time: TimeDelta::zero(),
            choice: nth,
        }
    }

    /// Whether everything is asked for one by one as well: where more than the lists may have
    /// changed, one time in six, since it is slow.
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

/// What the one number that a step has left stands for.
impl Deed {
    pub fn delivery(&self) -> &'static str {
        DELIVERIES[self.choice % DELIVERIES.len()]
    }

    pub fn reports_an_older_letter(&self) -> bool {
        self.choice.is_multiple_of(3)
    }

    pub fn purges_everyone(&self) -> bool {
        self.choice.is_multiple_of(2)
    }

    /// How many of the oldest messages the worker is done with.
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

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            organization,
            actor,
            whom,
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
                let (person, address, verified) = self.guest;
                let address = address.typed;
                write!(f, " with {:?} as {person} {address} {verified}", self.link)?;
            }
            Verb::ChangeInvitationRole => {
                write!(
                    f,
                    " of invitation {:?} to {}",
                    self.invitation, self.row.role
                )?;
            }
            Verb::SetSeats => write!(f, " to {:?}", self.seats())?,
            Verb::ChangeRole => write!(f, " of {whom} to {}", self.row.role)?,
            Verb::Pass => write!(f, " {}", self.time)?,
            _ => write!(f, " of {whom}, choice {choice}")?,
        }
        match self.manner {
            Manner::Usual => Ok(()),
            manner => write!(f, " {manner:?}"),
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

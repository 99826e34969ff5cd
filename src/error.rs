//! Everything that can go wrong, and everything that is refused.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::actor::InvalidAuditText;
use crate::email_address::InvalidEmailAddress;
use crate::id::{InvalidSessionKey, InvalidUserId, InvitationId, OrganizationId, UserId};
use crate::locale::InvalidLocale;
use crate::name::InvalidName;
use crate::personal_message::InvalidMessage;
use crate::role::{InvalidRole, Role};
use crate::status::Status;

/// Why an operation did nothing.
///
/// Refusals are variants a host can match on and show; faults keep their source. Whenever an
/// operation returns an error it has written nothing, except for [`Error::Database`] and
/// [`Error::Conflict`], after which the host rolls its transaction back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such organization, invitation or member, or the actor may not know of it.
    #[error(
        "there is no such organization, invitation or member, or it is not visible to this user"
    )]
    NotFound,
    /// The actor's role does not permit this.
    #[error("the role {role} may not {action}")]
    Forbidden {
        /// The actor's role.
        role: Role,
        /// What was attempted.
        action: Action,
    },
    /// The role model has no such role.
    #[error("there is no role {role}; the roles are {}", known.iter().map(Role::as_str).collect::<Vec<_>>().join(", "))]
    UnknownRole {
        /// The role asked for.
        role: Role,
        /// The roles there are, lowest first.
        known: Vec<Role>,
    },
    /// The organization would be left without a holder of the role that keeps one.
    #[error(
        "{} would be left without a member whose role is {role}",
        organizations_left(organizations)
    )]
    LastOwner {
        /// The role that keeps at least one holder who is not suspended.
        role: Role,
        /// Where; more than one only when a user is to be removed everywhere.
        organizations: Vec<OrganizationId>,
    },
    /// The host or an operator tried what only a member can do, such as leaving.
    #[error("only a member can do this; the host and an operator are none")]
    NoMember,
    /// The membership is suspended, and stays so.
    #[error("this membership is suspended; someone who may reinstate it has to do so first")]
    Suspended,
    /// Every seat is taken.
    #[error("all seats are taken, of which there are {seats}")]
    NoSeat {
        /// How many there are.
        seats: u32,
    },
    /// The address belongs to a member already.
    #[error("this address belongs to a member already")]
    AlreadyMember {
        /// The member.
        user: UserId,
    },
    /// The address has an invitation that is still open.
    #[error("this address has a pending invitation already")]
    AlreadyPending {
        /// The open invitation.
        invitation: InvitationId,
    },
    /// The invitation is closed and this cannot be done to it any more.
    #[error("the invitation is {status}")]
    InvitationClosed {
        /// How it was closed.
        status: Status,
    },
    /// The invitation's time is over.
    #[error("the invitation expired at {}", at.format("%Y-%m-%d %H:%M UTC"))]
    InvitationExpired {
        /// When.
        at: DateTime<Utc>,
    },
    /// The link was replaced by a newer one.
    #[error("this link was replaced by a newer one")]
    LinkReplaced,
    /// The text is not a link of ours, or not one that ever was valid. Deliberately no more is said.
    #[error("this link is not valid")]
    InvalidToken,
    /// The signed-in user's address is not the invited one.
    #[error("this invitation is for {invited}")]
    WrongAccount {
        /// The invited address, masked.
        invited: String,
    },
    /// The user's address was never verified, so it proves nothing.
    #[error("the address of this account is not verified")]
    UnverifiedEmail,
    /// Who granted the invitation may not grant its role any more.
    #[error("who sent this invitation may no longer grant its role")]
    InviterLostRight,
    /// Too many letters; nothing was stored.
    #[error("too many letters per {limit}; try again in {}", humantime::format_duration(*retry_after))]
    Throttled {
        /// Which limit was reached.
        limit: LimitKind,
        /// When there is room again, in whole seconds.
        retry_after: Duration,
    },
    /// The connection has no open transaction, so the parts of a change could be torn apart.
    #[error("this operation needs an open transaction; begin one and pass `&mut *tx`")]
    NoTransaction,
    /// Links are to be signed, but no key was configured.
    #[error("no key is configured; links can be neither made nor accepted")]
    NoKey,
    /// The e-mail address is not one.
    #[error(transparent)]
    InvalidEmailAddress(#[from] InvalidEmailAddress),
    /// The name is not one.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The personal message cannot be mailed.
    #[error(transparent)]
    InvalidMessage(#[from] InvalidMessage),
    /// The locale is not a language tag.
    #[error(transparent)]
    InvalidLocale(#[from] InvalidLocale),
    /// The role is not shaped like one.
    #[error(transparent)]
    InvalidRole(#[from] InvalidRole),
    /// The user id is not one.
    #[error(transparent)]
    InvalidUserId(#[from] InvalidUserId),
    /// A reason, an operator's name or a part of an origin is not one.
    #[error(transparent)]
    InvalidAuditText(#[from] InvalidAuditText),
    /// The session key is not one.
    #[error(transparent)]
    InvalidSessionKey(#[from] InvalidSessionKey),
    /// The page cursor did not come from here.
    #[error("the page cursor is not valid")]
    InvalidCursor,
    /// The URL names neither Postgres nor SQLite, or support for it is not compiled in.
    #[error("the database URL starts with neither postgres: nor sqlite:")]
    UnknownDatabase,
    /// Another transaction was in the way: a deadlock, a serialization failure or a wait that was
    /// too long. Roll back and run the whole transaction again.
    #[error("another transaction was in the way; roll back and try again: {0}")]
    Conflict(#[source] sqlx::Error),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

crate::text_enum::text_enum! {
    /// What an actor's role may or may not do.
    Action {
        /// Invite someone to a role.
        Invite = "invite to this role",
        /// Send an invitation to a role again.
        Resend = "resend this invitation",
        /// Change the role of an invitation.
        ChangeInvitationRole = "change the role of this invitation",
        /// Withdraw an invitation to a role.
        Revoke = "revoke this invitation",
        /// See the link of an invitation.
        ShowLink = "see the link of this invitation",
        /// Change a member's role.
        ChangeRole = "change this role",
        /// Remove a member.
        Remove = "remove this member",
        /// Keep a member out for a while.
        Suspend = "suspend this member",
        /// Let a suspended member in again.
        Reinstate = "reinstate this member",
        /// Hand the ownership over.
        TransferOwnership = "transfer the ownership",
        /// Rename the organization.
        Rename = "rename the organization",
        /// Delete the organization.
        Delete = "delete the organization",
        /// Give the organization another number of seats.
        SetSeats = "set the number of seats",
    }
}

crate::text_enum::text_enum! {
    /// Whose letters a limit counts.
    LimitKind {
        /// Letters one actor causes.
        Actor = "actor",
        /// Letters one organization causes.
        Organization = "organization",
        /// Letters one mailbox receives.
        Recipient = "recipient",
        /// Letters of one invitation, which keep a pause between them.
        Invitation = "invitation",
    }
}

/// On whose side an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A rule refused it.
    Rule,
    /// What was passed in is malformed.
    Input,
    /// The database or the set-up failed.
    Infrastructure,
}

impl Error {
    /// A stable word for programs: the variant's name in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden { .. } => "forbidden",
            Self::UnknownRole { .. } => "unknown_role",
            Self::LastOwner { .. } => "last_owner",
            Self::NoMember => "no_member",
            Self::Suspended => "suspended",
            Self::NoSeat { .. } => "no_seat",
            Self::AlreadyMember { .. } => "already_member",
            Self::AlreadyPending { .. } => "already_pending",
            Self::InvitationClosed { .. } => "invitation_closed",
            Self::InvitationExpired { .. } => "invitation_expired",
            Self::LinkReplaced => "link_replaced",
            Self::InvalidToken => "invalid_token",
            Self::WrongAccount { .. } => "wrong_account",
            Self::UnverifiedEmail => "unverified_email",
            Self::InviterLostRight => "inviter_lost_right",
            Self::Throttled { .. } => "throttled",
            Self::NoTransaction => "no_transaction",
            Self::NoKey => "no_key",
            Self::InvalidEmailAddress(_) => "invalid_email_address",
            Self::InvalidName(_) => "invalid_name",
            Self::InvalidMessage(_) => "invalid_message",
            Self::InvalidLocale(_) => "invalid_locale",
            Self::InvalidRole(_) => "invalid_role",
            Self::InvalidUserId(_) => "invalid_user_id",
            Self::InvalidAuditText(_) => "invalid_audit_text",
            Self::InvalidSessionKey(_) => "invalid_session_key",
            Self::InvalidCursor => "invalid_cursor",
            Self::UnknownDatabase => "unknown_database",
            Self::Conflict(_) => "conflict",
            Self::Database(_) => "database",
            Self::Migrate(_) => "migrate",
        }
    }

    /// On whose side it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotFound
            | Self::Forbidden { .. }
            | Self::UnknownRole { .. }
            | Self::LastOwner { .. }
            | Self::NoMember
            | Self::Suspended
            | Self::NoSeat { .. }
            | Self::AlreadyMember { .. }
            | Self::AlreadyPending { .. }
            | Self::InvitationClosed { .. }
            | Self::InvitationExpired { .. }
            | Self::LinkReplaced
            | Self::InvalidToken
            | Self::WrongAccount { .. }
            | Self::UnverifiedEmail
            | Self::InviterLostRight
            | Self::Throttled { .. } => Fault::Rule,
            Self::InvalidEmailAddress(_)
            | Self::InvalidName(_)
            | Self::InvalidMessage(_)
            | Self::InvalidLocale(_)
            | Self::InvalidRole(_)
            | Self::InvalidUserId(_)
            | Self::InvalidAuditText(_)
            | Self::InvalidSessionKey(_)
            | Self::InvalidCursor => Fault::Input,
            Self::NoTransaction
            | Self::NoKey
            | Self::UnknownDatabase
            | Self::Conflict(_)
            | Self::Database(_)
            | Self::Migrate(_) => Fault::Infrastructure,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| is_conflict(&code)) {
            Self::Conflict(error)
        } else {
            Self::Database(error)
        }
    }
}

/// Postgres: serialization_failure, deadlock_detected, lock_not_available (Appendix A of its
/// manual). SQLite: SQLITE_BUSY and SQLITE_LOCKED, the low byte of an extended result code; its
/// codes are decimal numbers of up to four digits, and those of Postgres have five characters.
fn is_conflict(code: &str) -> bool {
    match code {
        "40001" | "40P01" | "55P03" => true,
        _ if code.len() < 5 => matches!(code.parse().map(|code: u16| code & 0xff), Ok(5 | 6)),
        _ => false,
    }
}

fn organizations_left(organizations: &[OrganizationId]) -> String {
    match organizations {
        [_] => "the organization".to_owned(),
        several => {
            let ids: Vec<_> = several.iter().map(ToString::to_string).collect();
            format!("the organizations {}", ids.join(", "))
        }
    }
}

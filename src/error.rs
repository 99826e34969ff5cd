//! The error type of the library: refusals and faults.

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

/// The reason why an operation did nothing.
///
/// A refusal is a variant that a host can match and show; a fault keeps its source. An operation
/// that returns an error has written nothing, except after [`Error::Database`] and
/// [`Error::Conflict`]: then roll the transaction back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such organization, invitation or member, or the actor may not see it.
    #[error(
        "there is no such organization, invitation or member, or it is not visible to this user"
    )]
    NotFound,
    /// The actor's role does not permit this.
    #[error("the role {role} may not {action}")]
    Forbidden {
        /// The actor's role.
        role: Role,
        /// The attempted action.
        action: Action,
    },
    /// The role model has no such role.
    #[error("there is no role {role}; the roles are {}", known.iter().map(Role::as_str).collect::<Vec<_>>().join(", "))]
    UnknownRole {
        /// The requested role.
        role: Role,
        /// The existing roles, lowest first.
        known: Vec<Role>,
    },
    /// The organization would be left without a holder of the role that must always have one.
    #[error(
        "{} would be left without a member whose role is {role}",
        organizations_left(organizations)
    )]
    LastOwner {
        /// The role that must have at least one holder that is not suspended.
        role: Role,
        /// The organizations; more than one only if a user is to be removed everywhere.
        organizations: Vec<OrganizationId>,
    },
    /// The host or an operator tried something that only a member can do, such as leaving.
    #[error("only a member can do this, not the host or an operator")]
    NoMember,
    /// The membership is suspended and stays so.
    #[error("this membership is suspended; it has to be reinstated first")]
    Suspended,
    /// Every seat is taken.
    #[error("all {seats} seats of the organization are taken")]
    NoSeat {
        /// The number of seats.
        seats: u32,
    },
    /// The address already belongs to a member.
    #[error("this address already belongs to a member")]
    AlreadyMember {
        /// The member.
        user: UserId,
    },
    /// The address already has an open invitation.
    #[error("this address already has a pending invitation")]
    AlreadyPending {
        /// The open invitation.
        invitation: InvitationId,
    },
    /// The invitation is closed, so the operation is not possible any more.
    #[error("the invitation is {status}")]
    InvitationClosed {
        /// The status it was closed with.
        status: Status,
    },
    /// The invitation has expired.
    #[error("the invitation expired at {}", at.format("%Y-%m-%d %H:%M UTC"))]
    InvitationExpired {
        /// The time of expiry.
        at: DateTime<Utc>,
    },
    /// The link was replaced by a newer one.
    #[error("this link was replaced by a newer one")]
    LinkReplaced,
    /// The text is not a valid link and never was one. On purpose, no more is said.
    #[error("this link is not valid")]
    InvalidToken,
    /// The address of the signed-in user is not the invited one.
    #[error("this invitation is for {invited}")]
    WrongAccount {
        /// The invited address, masked.
        invited: String,
    },
    /// The address of the user was never verified, so it proves nothing.
    #[error("the address of this account is not verified")]
    UnverifiedEmail,
    /// The inviter may no longer grant the role of the invitation.
    #[error("the inviter may no longer grant the role of this invitation")]
    InviterLostRight,
    /// Too many letters; nothing was stored.
    #[error("too many letters per {limit}; try again in {}", humantime::format_duration(*retry_after))]
    Throttled {
        /// The limit that was reached.
        limit: LimitKind,
        /// The time until the next letter is allowed, in whole seconds.
        retry_after: Duration,
    },
    /// The connection has no open transaction, so only a part of the change might be stored.
    #[error("this operation needs an open transaction; begin one and pass `&mut *tx`")]
    NoTransaction,
    /// A link has to be signed or verified, but no key is configured.
    #[error("no key is configured, so links can be neither made nor accepted")]
    NoKey,
    /// The e-mail address is not valid.
    #[error(transparent)]
    InvalidEmailAddress(#[from] InvalidEmailAddress),
    /// The name is not valid.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The personal message is not valid.
    #[error(transparent)]
    InvalidMessage(#[from] InvalidMessage),
    /// The locale is not a language tag.
    #[error(transparent)]
    InvalidLocale(#[from] InvalidLocale),
    /// The role's name is not valid.
    #[error(transparent)]
    InvalidRole(#[from] InvalidRole),
    /// The user id is not valid.
    #[error(transparent)]
    InvalidUserId(#[from] InvalidUserId),
    /// A reason, an operator's name or a part of an origin is not valid.
    #[error(transparent)]
    InvalidAuditText(#[from] InvalidAuditText),
    /// The session key is not valid.
    #[error(transparent)]
    InvalidSessionKey(#[from] InvalidSessionKey),
    /// The page cursor was not made by this library.
    #[error("the page cursor is not valid")]
    InvalidCursor,
    /// The URL names neither Postgres nor SQLite, or support for it is not compiled in.
    #[error("the database URL starts with neither postgres: nor sqlite:")]
    UnknownDatabase,
    /// Another transaction was in the way: a deadlock, a serialization failure or a lock wait that
    /// was too long. Roll back and run the whole transaction again.
    #[error("another transaction was in the way; roll back and try again: {0}")]
    Conflict(#[source] sqlx::Error),
    /// The database reported an error or did not answer.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// A pooler of Postgres that hands out its connections by transaction is in the way of prepared
    /// statements. Add `pgbouncer=true` to the URL of the database, or lend
    /// [`Connection::PostgresPooler`](crate::Connection::PostgresPooler).
    #[error(
        "the database is behind a pooler that hands out connections by transaction: add pgbouncer=true to its URL: {0}"
    )]
    Pooler(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

crate::text_enum::text_enum! {
    /// Something that a role may permit or not.
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
        /// Suspend a member.
        Suspend = "suspend this member",
        /// Reinstate a suspended member.
        Reinstate = "reinstate this member",
        /// Transfer the ownership.
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
    /// The thing whose letters a limit counts.
    LimitKind {
        /// Letters caused by one actor.
        Actor = "actor",
        /// Letters caused by one organization.
        Organization = "organization",
        /// Letters received by one mailbox.
        Recipient = "recipient",
        /// Letters of one invitation, with a minimum time between them.
        Invitation = "invitation",
    }
}

/// The origin of an [`Error`]: a rule, the input or the infrastructure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A rule refused the operation.
    Rule,
    /// The input is malformed.
    Input,
    /// The database or the configuration failed.
    Infrastructure,
}

impl Error {
    /// Returns a stable word for programs: the variant's name in snake case.
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
            Self::Pooler(_) => "pooler",
            Self::Migrate(_) => "migrate",
        }
    }

    /// Returns the origin of the error.
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
            | Self::Pooler(_)
            | Self::Migrate(_) => Fault::Infrastructure,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        #[cfg(feature = "postgres")]
        if error.as_database_error().is_some_and(is_pooler_in_the_way) {
            return Self::Pooler(error);
        }
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| is_conflict(&code)) {
            Self::Conflict(error)
        } else {
            Self::Database(error)
        }
    }
}

/// Detects the codes of a conflict. Postgres: serialization_failure, deadlock_detected,
/// lock_not_available (Appendix A of its manual). SQLite: SQLITE_BUSY and SQLITE_LOCKED, the low
/// byte of an extended result code. SQLite's codes are decimal numbers of up to four digits; those
/// of Postgres have five characters.
fn is_conflict(code: &str) -> bool {
    match code {
        "40001" | "40P01" | "55P03" => true,
        _ if code.len() < 5 => matches!(code.parse().map(|code: u16| code & 0xff), Ok(5 | 6)),
        _ => false,
    }
}

/// Detects the errors of a pooler that hands out connections by transaction: a prepared statement that
/// exists already or does not exist (SQLSTATE 42P05 and 26000), or a parameter of the connection
/// that PgBouncer does not know.
#[cfg(feature = "postgres")]
fn is_pooler_in_the_way(error: &dyn sqlx::error::DatabaseError) -> bool {
    match error.code().as_deref() {
        Some("42P05" | "26000") => true,
        Some("08P01") => error.message().contains("unsupported startup parameter"),
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

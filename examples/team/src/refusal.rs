//! Guestlist's refusals as sentences for the person, each with the next step.

use std::time::Duration;

use guestlist::{Action, Error, Fault, Status};

/// Describes why Guestlist refused or failed.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::NotFound => {
            "This member or invitation no longer exists. Reload the team page.".to_owned()
        }
        Error::Forbidden { action, .. } => {
            format!(
                "Your role may not {}. Ask an owner of the organization.",
                phrase(*action)
            )
        }
        Error::LastOwner { .. } => {
            "An organization needs at least one owner, and this is the last one. \
             Transfer the ownership to another member first."
                .to_owned()
        }
        Error::Suspended => {
            "This membership is suspended. A member that manages the team can reinstate it."
                .to_owned()
        }
        Error::NoSeat { seats: 1 } => "The only seat is taken.".to_owned(),
        Error::NoSeat { seats } => format!(
            "All {seats} seats are taken. Remove a member or cancel an invitation to make room."
        ),
        Error::AlreadyMember { .. } => "This person is already a member.".to_owned(),
        Error::AlreadyPending { .. } => {
            "There is already a pending invitation. Resend it, or cancel it first.".to_owned()
        }
        Error::InvitationClosed { status } => format!("The invitation {}.", closed(*status)),
        Error::InvitationExpired { .. } => "The invitation has expired. Resend it.".to_owned(),
        Error::WrongAccount { invited } => format!(
            "The invitation is for {invited}. Sign in with the account of that address to accept it."
        ),
        Error::InviterLostRight => {
            "The person who sent this invitation may no longer grant this role. Ask the \
             organization for a new invitation."
                .to_owned()
        }
        Error::Throttled { retry_after, .. } => {
            format!(
                "Too many e-mails were sent recently. Try again in {}.",
                soon(*retry_after)
            )
        }
        Error::Conflict(_) => {
            "Someone else changed the team at the same moment. Please try again.".to_owned()
        }
        error if error.fault() == Fault::Infrastructure => {
            "Something failed on our side. Nothing was changed. Please try again in a moment."
                .to_owned()
        }
        error => sentence(&error.to_string()),
    }
}

fn phrase(action: Action) -> &'static str {
    match action {
        Action::Invite => "invite to this role",
        Action::Resend => "resend this invitation",
        Action::ChangeInvitationRole => "change the role of this invitation",
        Action::Revoke => "cancel this invitation",
        Action::ShowLink => "see the link of this invitation",
        Action::ChangeRole => "change this role",
        Action::Remove => "remove this member",
        Action::Suspend => "suspend this member",
        Action::Reinstate => "reinstate this member",
        Action::TransferOwnership => "transfer the ownership",
        Action::Rename => "rename the organization",
        Action::Delete => "delete the organization",
        _ => "do this",
    }
}

fn closed(status: Status) -> &'static str {
    match status {
        Status::Accepted => "was already accepted",
        Status::Declined => "was declined. Invite the person again",
        Status::Revoked => "was cancelled. Invite the person again",
        _ => "is closed",
    }
}

/// Formats a waiting time in a suitable unit, rounded up.
pub(crate) fn soon(duration: Duration) -> String {
    match duration.as_secs() {
        0..=1 => "a second".to_owned(),
        seconds @ 2..=119 => format!("{seconds} seconds"),
        seconds @ 120..=7199 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3600)),
    }
}

/// Turns an error message of the library into a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(letters)
        .chain(['.'])
        .collect()
}

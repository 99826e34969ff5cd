//! Refusals of Guestlist in words for people, each with what to do next.

use std::time::Duration;

use guestlist::{Action, Error, Fault, Status};

/// Says why Guestlist did not do it.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::NotFound => {
            "There is no such member or invitation here any more. Load the team page again."
                .to_owned()
        }
        Error::Forbidden { action, .. } => {
            format!(
                "Your role may not {}. Ask an owner of the organization.",
                done(*action)
            )
        }
        Error::LastOwner { .. } => {
            "An organization keeps at least one owner, and this is the last one. \
             Transfer the ownership to somebody else first."
                .to_owned()
        }
        Error::Suspended => {
            "This membership is suspended. Somebody who manages the team can reinstate it."
                .to_owned()
        }
        Error::NoSeat { seats: 1 } => "The only seat is taken.".to_owned(),
        Error::NoSeat { seats } => format!(
            "All {seats} seats are taken. Remove a member or cancel an invitation to make room."
        ),
        Error::AlreadyMember { .. } => "Is a member already.".to_owned(),
        Error::AlreadyPending { .. } => {
            "Has an open invitation already. Resend it, or cancel it first.".to_owned()
        }
        Error::InvitationClosed { status } => format!("The invitation {}.", closed(*status)),
        Error::InvitationExpired { .. } => "The invitation has expired. Resend it.".to_owned(),
        Error::WrongAccount { invited } => format!(
            "The invitation is for {invited}. Sign in with the account of that address to accept it."
        ),
        Error::InviterLostRight => {
            "Who sent this invitation may no longer give this role. Ask the \
             organization for a new invitation."
                .to_owned()
        }
        Error::Throttled { retry_after, .. } => {
            format!(
                "Too many letters for now. Try again in {}.",
                soon(*retry_after)
            )
        }
        Error::Conflict(_) => {
            "Somebody else changed the team at the same moment. Please try again.".to_owned()
        }
        error if error.fault() == Fault::Infrastructure => {
            "The fault is ours. Nothing was changed; please try again in a moment.".to_owned()
        }
        error => sentence(&error.to_string()),
    }
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Invite => "invite to this role",
        Action::Resend => "resend this invitation",
        Action::ChangeInvitationRole => "change the role of this invitation",
        Action::Revoke => "cancel this invitation",
        Action::ShowLink => "see the link of this invitation",
        Action::ChangeRole => "make this change of role",
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
        Status::Accepted => "was accepted already",
        Status::Declined => "was declined; invite the person anew",
        Status::Revoked => "was cancelled; invite the person anew",
        _ => "is closed",
    }
}

/// How long to wait, in the unit that says enough.
pub(crate) fn soon(duration: Duration) -> String {
    match duration.as_secs() {
        0..=1 => "a second".to_owned(),
        seconds @ 2..=119 => format!("{seconds} seconds"),
        seconds @ 120..=7199 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3600)),
    }
}

/// A message of the library as a sentence.
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

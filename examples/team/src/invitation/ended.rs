//! Pages for invitation links that cannot be used, each with the next step.

use axum::response::{IntoResponse, Response};
use guestlist::{Error, Status};
use serde_json::json;

use crate::page::{Frame, Place};
use crate::problem::Problem;

/// Renders the page for a link that cannot be used. Other problems are returned as errors.
pub(super) fn page(frame: &Frame, problem: Problem) -> Result<Response, Problem> {
    let Problem::Guestlist(error) = &problem else {
        return Err(problem);
    };
    let Some((title, words, is_member)) = words(error) else {
        return Err(problem);
    };
    let data = json!({ "words": words, "is_member": is_member });
    let page = frame.page("invitation_ended", title, Place::Anywhere, data);
    Ok((problem.status(), page).into_response())
}

/// Returns title, text, and true if the next step is to sign in.
fn words(error: &Error) -> Option<(&'static str, String, bool)> {
    let (title, words, is_member) = match error {
        Error::InvalidToken => (
            "This link is not valid",
            "Part of it may be missing. Open it again from the e-mail, or ask the person who invited you \
             for a new invitation.",
            false,
        ),
        Error::LinkReplaced => (
            "This link was replaced",
            "There is a newer e-mail with a new link. Look for it in your mailbox.",
            false,
        ),
        Error::InvitationExpired { .. } => (
            "This invitation has expired",
            "Ask the person who invited you to send it again.",
            false,
        ),
        Error::InvitationClosed {
            status: Status::Accepted,
        } => (
            "This invitation was accepted",
            "It was already used. If you accepted it, sign in to continue.",
            true,
        ),
        Error::InvitationClosed {
            status: Status::Declined,
        } => (
            "This invitation was declined",
            "If you changed your mind, ask the person who invited you for a new one.",
            false,
        ),
        Error::InvitationClosed { .. } => (
            "This invitation was cancelled",
            "Ask the organization if you think this is a mistake.",
            false,
        ),
        Error::InviterLostRight => (
            "This invitation is no longer valid",
            "The person who invited you may no longer grant this role. Ask the organization for a new invitation.",
            false,
        ),
        Error::NoSeat { .. } => (
            "There is no seat left",
            "The organization has no free seat at the moment. Ask the person who invited you to free \
             one, then open the link again.",
            false,
        ),
        Error::Suspended => (
            "Your membership is suspended",
            "You are already a member, but you have no access at the moment. Ask the organization.",
            false,
        ),
        Error::WrongAccount { invited } => {
            let words =
                format!("This invitation is for {invited}. Switch to that account to accept it.");
            return Some(("Wrong account", words, false));
        }
        _ => return None,
    };
    Some((title, words.to_owned(), is_member))
}

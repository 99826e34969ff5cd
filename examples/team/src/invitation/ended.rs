//! Links that open nothing (any more), each with what to do next.

use axum::response::{IntoResponse, Response};
use guestlist::{Error, Status};
use serde_json::json;

use crate::page::{Frame, Place};
use crate::problem::Problem;

/// The page of a link that cannot be accepted; other problems are passed on.
pub(super) fn page(frame: &Frame, problem: Problem) -> Result<Response, Problem> {
    let Problem::Guestlist(error) = &problem else {
        return Err(problem);
    };
    let Some((title, words, is_member)) = words(error) else {
        return Err(problem);
    };
    let facts = json!({ "words": words, "is_member": is_member });
    let page = frame.page("invitation_ended", title, Place::Anywhere, facts);
    Ok((problem.status(), page).into_response())
}

/// What to say, and whether the way on is to sign in.
fn words(error: &Error) -> Option<(&'static str, String, bool)> {
    let (title, words, is_member) = match error {
        Error::InvalidToken => (
            "This link is not valid",
            "Perhaps the end of it got lost. Open it once more from the letter, or ask who invited you \
             for a new invitation.",
            false,
        ),
        Error::LinkReplaced => (
            "This link was replaced",
            "There is a newer letter with a newer link. Look into your mailbox for it.",
            false,
        ),
        Error::InvitationExpired { .. } => (
            "This invitation has expired",
            "Ask who invited you to send it again.",
            false,
        ),
        Error::InvitationClosed {
            status: Status::Accepted,
        } => (
            "This invitation was accepted",
            "It was used already. If it was you, sign in to go on.",
            true,
        ),
        Error::InvitationClosed {
            status: Status::Declined,
        } => (
            "This invitation was declined",
            "If you changed your mind, ask who invited you for a new one.",
            false,
        ),
        Error::InvitationClosed { .. } => (
            "This invitation was cancelled",
            "Ask the organization if you think that is a mistake.",
            false,
        ),
        Error::InviterLostRight => (
            "This invitation does not hold any more",
            "Who invited you may no longer give this role. Ask the organization for a new invitation.",
            false,
        ),
        Error::NoSeat { .. } => (
            "There is no seat left",
            "The organization has no room for another member right now. Ask who invited you to make \
             some, then open the link again.",
            false,
        ),
        Error::Suspended => (
            "Your membership is suspended",
            "You are a member already, and somebody keeps you out for now. Ask the organization.",
            false,
        ),
        Error::WrongAccount { invited } => {
            let words =
                format!("This invitation is for {invited}. Switch to that account to accept it.");
            return Some(("Another account", words, false));
        }
        _ => return None,
    };
    Some((title, words.to_owned(), is_member))
}

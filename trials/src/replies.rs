//! Replies of the mail server that the oracle tells apart.

use guestlist_testkit::smtp::{Action, Stage};

/// Refuses a missing mailbox. No other refusal is final within the minutes of a trial.
pub(crate) const MISSING_MAILBOX: &str = "550 5.1.1 no such user";

/// Replies that refuse one recipient, or one letter, for policy.
pub(crate) const POLICY: [(Stage, &str); 3] = [
    (Stage::Rcpt, "550 5.7.1 message refused by policy"),
    (
        Stage::Rcpt,
        "550 5.7.1 recipient address rejected: access denied",
    ),
    (Stage::End, "550 5.7.1 message refused by content policy"),
];

/// Replies of a provider that takes fewer letters in a given time.
pub(crate) const THROTTLING: [(Stage, &str); 3] = [
    (Stage::Mail, "452 4.3.1 too many messages, slow down"),
    (Stage::Mail, "421 4.7.0 too many messages, try again later"),
    (
        Stage::End,
        "454 4.7.0 throttling failure: maximum sending rate exceeded",
    ),
];

/// Returns the action that sends a reply. After a 421 the connection is closed (RFC 5321 section 3.8).
pub(crate) fn action(reply: &str) -> Action {
    match reply.starts_with("421") {
        true => Action::reply_and_hang_up(reply),
        false => reply.into(),
    }
}

/// Returns true if a reply, or a text that contains one, refuses a single recipient for policy.
pub(crate) fn is_policy(text: &str) -> bool {
    POLICY.iter().any(|(_, reply)| text.contains(reply))
}

/// Returns true if a reply, or a text that contains one, asks to send more slowly.
pub(crate) fn is_throttling(text: &str) -> bool {
    THROTTLING.iter().any(|(_, reply)| text.contains(reply))
}

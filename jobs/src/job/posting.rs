//! Posting a letter under a lease, and what its verdict means for the message.

use guestlist::outbox::{Cost, Message};
use guestlist::{EmailAddress, Locale};

use super::{Next, back_off};
use crate::context::Context;
use crate::leases::Held;
use crate::letters::{Envelope, Letter, LetterError};
use crate::mailer::Verdict;

/// A letter and where it goes.
pub(super) struct Posting<'a> {
    pub(super) letter: Letter,
    pub(super) to: &'a EmailAddress,
    pub(super) locale: &'a Locale,
}

/// What became of a posting.
pub(super) enum Posted {
    /// The mail server has it.
    Accepted,
    /// It waits for the recipient's mail server.
    Deferred { next: Next, why: String },
    /// It waits for reasons that are not the recipient's.
    Waiting(Next),
    /// The recipient will never get it.
    Refused { why: String },
    /// This letter will never be taken.
    Faulty { why: String },
}

/// How often the same letter may meet a server that never answers, before a person looks at it.
const MAX_UNKNOWN: i64 = 20;

/// Writes and delivers the letter of a message while its lease is held.
///
/// Message-ID and date are those of the message, so every attempt sends the same letter.
pub(super) async fn post(
    context: &Context,
    message: &Message,
    held: &Held,
    posting: Posting<'_>,
) -> Result<Posted, LetterError> {
    let envelope = Envelope {
        from: context.from.clone(),
        to: posting.to.to_string(),
        locale: posting.locale.to_string(),
        message_id: format!("{}@{}", message.id, context.domain()),
        date: message.created_at,
    };
    let mail = context.letters.mail(&posting.letter, &envelope)?;
    let verdict = tokio::select! {
        biased;
        () = held.lost() => return Ok(Posted::Waiting(lease_lost())),
        verdict = context.mailer.send_while(held.watched(), mail) => verdict,
    };
    Ok(judge(message, verdict))
}

fn lease_lost() -> Next {
    // Settling it changes nothing: the fence has moved, or will before anyone else acts.
    let why = "the lease was lost before the letter was delivered".to_owned();
    Next::Retry {
        after: std::time::Duration::ZERO,
        why,
        cost: Cost::Nothing,
    }
}

fn judge(message: &Message, verdict: Verdict) -> Posted {
    match verdict {
        Verdict::Accepted { .. } => Posted::Accepted,
        Verdict::Deferred { why } => {
            let after = back_off::after_deferral(message.attempts - message.faults);
            let next = Next::Retry {
                after,
                why: why.clone(),
                cost: Cost::Attempt,
            };
            Posted::Deferred { next, why }
        }
        Verdict::Refused { why } => Posted::Refused { why },
        Verdict::LetterFault { why } => Posted::Faulty { why },
        Verdict::Unavailable { retry_after } => {
            let why = "the mail server is unavailable".to_owned();
            Posted::Waiting(Next::Retry {
                after: retry_after,
                why,
                cost: Cost::Nothing,
            })
        }
        Verdict::ServerFault { why, retry_after } | Verdict::Ours { why, retry_after } => {
            Posted::Waiting(Next::Retry {
                after: retry_after,
                why,
                cost: Cost::Nothing,
            })
        }
        Verdict::Unknown { why, .. } if message.faults >= MAX_UNKNOWN => Posted::Faulty { why },
        Verdict::Unknown { why, retry_after } => Posted::Waiting(Next::Retry {
            after: retry_after,
            why,
            cost: Cost::Fault,
        }),
    }
}

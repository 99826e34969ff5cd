//! Posting a letter under a lease, and what its verdict means for the message.

use std::time::Duration;

use guestlist::outbox::{Cost, Message};
use guestlist::{EmailAddress, Locale};
use tracing::Instrument;

use super::desk::NoTurn;
use super::{Fault, Next, Outcome, back_off};
use crate::context::Context;
use crate::dated::Dated;
use crate::leases::Held;
use crate::letters::{Envelope, Letter, LetterError};
use crate::mail::Mail;
use crate::mailer::Verdict;
use crate::trace;

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

/// Why a letter is not written.
pub(super) enum Unsent {
    /// What holds now makes it pointless.
    Pointless(Outcome),
    /// It cannot be written now.
    Fault(Fault),
}

/// How often the same letter may meet a server that never answers, before a person looks at it.
const MAX_UNKNOWN: i64 = 20;

/// Writes the letter of a message.
///
/// Message-ID and date are those of the message, so every attempt sends the same letter.
pub(super) fn write(
    context: &Context,
    message: &Message,
    letter: &Letter,
    to: &EmailAddress,
    locale: &Locale,
) -> Result<Mail, LetterError> {
    let envelope = Envelope {
        from: context.from.clone(),
        to: to.to_string(),
        locale: locale.to_string(),
        message_id: format!("{}@{}", message.id, context.domain()),
        date: message.created_at,
    };
    context.letters.mail(letter, &envelope)
}

/// Delivers a letter whose turn it is, while its lease is held. It is written `again` if it is old when
/// it could leave.
///
/// # Errors
/// Why it is not written again.
pub(super) async fn post<F>(
    context: &Context,
    message: &Message,
    held: &Held,
    mail: Dated<Mail>,
    again: impl Fn() -> F,
) -> Result<Posted, Unsent>
where
    F: Future<Output = Result<Dated<Mail>, Unsent>>,
{
    let span = trace::delivery(message);
    let sending = context.mailer.send_current(held.watched(), mail, again);
    let verdict = tokio::select! {
        biased;
        () = held.lost() => return Ok(Posted::Waiting(NoTurn::LeaseLost.next())),
        verdict = sending.instrument(span.clone()) => verdict?,
    };
    trace::delivered(&span, &verdict);
    Ok(judge(message, verdict))
}

impl From<Outcome> for Unsent {
    fn from(outcome: Outcome) -> Self {
        Self::Pointless(outcome)
    }
}

impl<E> From<E> for Unsent
where
    Fault: From<E>,
{
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

impl NoTurn {
    /// What is next for a letter that had no turn.
    pub(super) fn next(self) -> Next {
        let (after, why) = match self {
            // Settling it changes nothing: the fence has moved, or will before anyone else acts.
            Self::LeaseLost => (
                Duration::ZERO,
                "the lease was lost before the letter was delivered",
            ),
            Self::Stopping => (
                Duration::ZERO,
                "the worker stopped before it was this letter's turn",
            ),
            Self::Unavailable { retry_after } => (retry_after, "the mail server is unavailable"),
        };
        Next::Retry {
            after,
            why: why.to_owned(),
            cost: Cost::Nothing,
        }
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
            Posted::Waiting(NoTurn::Unavailable { retry_after }.next())
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

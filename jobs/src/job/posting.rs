//! Sending a letter under a lease, and the translation of its verdict into the next step.

use std::time::{Duration, Instant};

use guestlist::outbox::{Cost, Message};
use guestlist::{Attempt, EmailAddress, Locale};
use tracing::Instrument;

use super::desk::NoTurn;
use super::{Fault, Next, Outcome, deferral};
use crate::context::Context;
use crate::leases::Held;
use crate::letters::{Envelope, Letter, LetterError};
use crate::mail::Mail;
use crate::mailer::Verdict;
use crate::timestamped::Timestamped;
use crate::trace;
use crate::worker_id::worker_id;

/// The result of sending a letter.
pub(super) enum Posted {
    /// The mail server has accepted it.
    Accepted,
    /// It is retried because the recipient cannot be reached now.
    Deferred { next: Next, why: String },
    /// It is retried for a reason other than the recipient.
    Waiting(Next),
    /// The recipient will never get it.
    Refused { why: String },
    /// This letter will never be accepted.
    Faulty { why: String },
}

/// The reason why a letter is not rendered.
pub(super) enum Unsent {
    /// The current state makes the letter pointless.
    Pointless(Outcome),
    /// It cannot be rendered now.
    Fault(Fault),
}

/// The number of times the same letter may be left without an answer before a person has to look at
/// it.
const MAX_UNKNOWN: i64 = 20;

/// Renders the letter of a message.
///
/// Message-ID and date come from the message, so every attempt sends the same letter.
pub(super) fn write(
    context: &Context,
    message: &Message,
    letter: &Letter,
    to: &EmailAddress,
    locale: &Locale,
) -> Result<Mail, LetterError> {
    let envelope = Envelope {
        from: context.from.clone(),
        to: to.clone(),
        locale: locale.to_string(),
        message_id: format!("{}@{}", message.id, context.domain()),
        date: message.created_at,
    };
    context.letters.mail(letter, &envelope)
}

/// Delivers an admitted letter while its lease is held. Calls `again` to render it again if it is
/// stale when a connection is ready. Returns the attempt too, unless nothing was tried.
///
/// # Errors
/// The reason why the letter is not rendered again.
pub(super) async fn post<F>(
    context: &Context,
    message: &Message,
    held: &Held,
    mail: Timestamped<Mail>,
    again: impl Fn() -> F,
) -> Result<(Posted, Option<Box<Attempt>>), Unsent>
where
    F: Future<Output = Result<Timestamped<Mail>, Unsent>>,
{
    let span = trace::delivery(message);
    let to = mail.value.to.clone();
    let (at, began) = (context.guestlist.now(), Instant::now());
    let sending = context.mailer.send_current(held.watched(), mail, again);
    let verdict = tokio::select! {
        biased;
        () = held.lost() => return Ok((Posted::Waiting(NoTurn::LeaseLost.next()), None)),
        verdict = sending.instrument(span.clone()) => verdict?,
    };
    trace::delivered(&span, &verdict);
    let attempt = reply(&verdict).map(|reply| {
        let mut attempt = Attempt::new(at, message, &to, worker_id(), verdict.label());
        attempt.detail.reply = Some(reply.to_owned());
        attempt.duration_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        Box::new(attempt)
    });
    Ok((judge(message, verdict), attempt))
}

/// Returns the reply or the failure behind a verdict; `None` if nothing was tried.
fn reply(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Unavailable { .. } => None,
        Verdict::Accepted { reply: text }
        | Verdict::ServerFault { why: text, .. }
        | Verdict::Deferred { why: text }
        | Verdict::Refused { why: text }
        | Verdict::LetterFault { why: text }
        | Verdict::Ours { why: text, .. }
        | Verdict::Unknown { why: text, .. } => Some(text),
    }
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
    /// Returns the next step of a letter that was not admitted.
    pub(super) fn next(self) -> Next {
        let (after, why) = match self {
            // Settling changes nothing then: another worker has taken the lease, or will before it
            // acts.
            Self::LeaseLost => (
                Duration::ZERO,
                "the lease was lost before the letter was delivered",
            ),
            Self::Stopping => (
                Duration::ZERO,
                "the worker stopped before this letter was sent",
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
            let after = deferral::delay_after(message.attempts - message.faults);
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

//! The parts that the jobs of letters share.

use futures::FutureExt;
use guestlist::outbox::Message;
use guestlist::worker::{LetterFacts, letter_facts};
use guestlist::{Attempt, EmailAddress, InvitationId, Locale};

use super::{Fault, Outcome};
use crate::context::Context;
use crate::delivery::{Delivered, NotDelivered};
use crate::letters::{Envelope, Letter, LetterError};
use crate::loader::Loader;
use crate::mail::Mail;
use crate::mailer::{Verdict, VerdictClass};
use crate::worker_id::worker_id;

/// Reads the data of invitation letters in batches.
pub(crate) type LetterFactsLoader = Loader<InvitationId, LetterFacts>;

/// The reason why a letter is not sent.
pub(super) enum Unsent {
    /// The current state makes the letter pointless.
    Pointless(Outcome),
    /// It cannot be read or rendered now.
    Fault(Fault),
}

/// Creates the loader of the data of invitation letters.
pub(crate) fn letter_facts_loader(context: &Context) -> LetterFactsLoader {
    let guestlist = context.guestlist.clone();
    Loader::new(
        context.database.clone(),
        move |connection, ids: Vec<InvitationId>| {
            let guestlist = guestlist.clone();
            async move {
                let found = letter_facts(&guestlist, connection, &ids).await?;
                let by_id = |facts: LetterFacts| (facts.invitation.id, facts);
                Ok(found.into_iter().map(by_id).collect())
            }
            .boxed()
        },
    )
}

/// Renders the letter of a message.
///
/// Message-ID and date come from the message, so every attempt sends the same letter once the mail
/// server has received a part of it. `number` is the
/// number of the letter, if it is one of an invitation.
pub(super) fn render(
    context: &Context,
    message: &Message,
    letter: &Letter,
    to: &EmailAddress,
    locale: &Locale,
    number: Option<(InvitationId, i64)>,
) -> Result<Mail, LetterError> {
    let envelope = Envelope {
        from: context.from.clone(),
        reply_to: context.reply_to.clone(),
        to: to.clone(),
        locale: locale.to_string(),
        message_id: format!("{}@{}", message.id, context.domain()),
        date: message.date(),
        headers: context.headers.clone(),
    };
    let mail = context.letters.mail(letter, &envelope)?;
    Ok(Mail {
        from: context.envelope_sender(number),
        ..mail
    })
}

/// Returns the record of an attempt; `None` if nothing was tried.
pub(super) fn attempt<S>(
    message: &Message,
    delivered: &Delivered<S>,
    to: &EmailAddress,
) -> Option<Box<Attempt>> {
    let Verdict { class, detail, .. } = &delivered.verdict;
    if *class == VerdictClass::NotTried {
        return None;
    }
    let mut attempt = Attempt::new(delivered.at, message, to, worker_id(), class.label());
    attempt.duration_ms = i64::try_from(delivered.took.as_millis()).unwrap_or(i64::MAX);
    attempt.detail.stage = detail.stage.map(str::to_owned);
    attempt.detail.code = detail.code.map(i64::from);
    attempt.detail.enhanced.clone_from(&detail.enhanced);
    attempt.detail.queue_id.clone_from(&detail.queue_id);
    attempt.detail.reply = Some(detail.text.clone());
    Some(Box::new(attempt))
}

/// Returns the outcome of a letter that was not attempted.
///
/// # Errors
/// The letter could not be read or rendered.
pub(super) fn not_delivered(reason: NotDelivered<Unsent>) -> Result<Outcome, Fault> {
    match reason {
        NotDelivered::NotAdmitted(reason) => Ok(reason.next().into()),
        NotDelivered::Letter(Unsent::Pointless(outcome)) => Ok(outcome),
        NotDelivered::Letter(Unsent::Fault(fault)) => Err(fault),
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

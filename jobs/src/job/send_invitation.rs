//! The job that sends the link of an invitation, and its reminder.

use guestlist::outbox::Message;
use guestlist::worker::{DeliveryReport, LetterFacts};
use guestlist::{Delivery, Invitation, InvitationId, Membership, Organization, Status};

use super::desk::Desk;
use super::posting::{self, Posted, Unsent, post};
use super::{Fault, Next, Outcome};
use crate::context::Context;
use crate::failpoint::fail_point;
use crate::leases::Held;
use crate::letters::{self, Letter, Person};
use crate::mail::Mail;
use crate::timestamped::Timestamped;

/// Letter number `letter` of an invitation, or a reminder of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LetterRef {
    invitation: InvitationId,
    letter: i64,
    is_reminder: bool,
}

impl LetterRef {
    pub(super) fn new(invitation: InvitationId, letter: i64, is_reminder: bool) -> Self {
        Self {
            invitation,
            letter,
            is_reminder,
        }
    }
}

/// The state that a letter is rendered from.
struct CurrentState {
    invitation: Invitation,
    organization: Organization,
    /// The inviter; `None` where the host or an operator granted the invitation.
    inviter: Option<Membership>,
}

/// Sends a letter, unless the current state makes it pointless.
///
/// The letter is rendered before it is admitted, and again if it is stale by the time it can be
/// sent; the state read last decides.
pub(super) async fn run(
    context: &Context,
    desk: &Desk,
    message: &Message,
    held: &Held,
    letter: LetterRef,
) -> Result<Outcome, Fault> {
    let outcome = match send(context, desk, message, held, letter).await {
        Ok(outcome) | Err(Unsent::Pointless(outcome)) => outcome,
        Err(Unsent::Fault(fault)) => return Err(fault),
    };
    Ok(without_report_of(letter.is_reminder, outcome))
}

async fn send(
    context: &Context,
    desk: &Desk,
    message: &Message,
    held: &Held,
    letter: LetterRef,
) -> Result<Outcome, Unsent> {
    let ready = || ready(context, desk, message, letter);
    let mail = ready().await?;
    let turn = match desk.turn(held).await {
        Ok(turn) => turn,
        Err(none) => return Ok(none.next().into()),
    };
    let (posted, attempt) = post(context, message, held, mail, ready).await?;
    Ok(Outcome {
        attempt,
        unsettled: Some(turn.end()),
        ..conclude(letter, posted)
    })
}

/// Renders the letter from the current state.
async fn ready(
    context: &Context,
    desk: &Desk,
    message: &Message,
    letter: LetterRef,
) -> Result<Timestamped<Mail>, Unsent> {
    let Timestamped { value: read, asked } = desk.facts(letter.invitation).await?;
    let state = judge(context, read, letter).map_err(|outcome| *outcome)?;
    fail_point!("letter::facts", crate::failpoint::database());
    let written = write(context, &state, letter.is_reminder)?;
    let Invitation { email, locale, .. } = &state.invitation;
    let value = posting::write(context, message, &written, email, locale)?;
    Ok(Timestamped { value, asked })
}

/// Decides by the current state whether the letter is sent.
fn judge(
    context: &Context,
    found: Option<LetterFacts>,
    LetterRef {
        invitation: id,
        letter,
        ..
    }: LetterRef,
) -> Result<CurrentState, Box<Outcome>> {
    let Some(found) = found else {
        return Err(Box::new(Outcome::cancelled("the invitation is gone")));
    };
    let LetterFacts {
        invitation,
        organization,
        inviter,
        grant_holds,
        suppression,
        ..
    } = found;
    if invitation.letters != letter {
        let why = "a newer letter of this invitation replaces it";
        return Err(Box::new(Outcome::cancelled(why)));
    }
    let suppressed = |why: String| Err(Box::new(suppress(id, letter, why)));
    match invitation.status_at(context.guestlist.now()) {
        Status::Pending => {}
        status => return suppressed(format!("not sent: the invitation is {status}")),
    }
    if !grant_holds {
        return suppressed("not sent: the inviter may no longer grant this role".to_owned());
    }
    if let Some(reason) = suppression {
        let why = format!("not sent: an earlier letter to this address was refused: {reason}");
        return Err(Box::new(Outcome {
            report: Some(DeliveryReport::unreachable(id, letter)),
            ..Outcome::cancelled(why)
        }));
    }
    match organization {
        Some(organization) => Ok(CurrentState {
            invitation,
            organization,
            inviter,
        }),
        None => suppressed("not sent: the organization is gone".to_owned()),
    }
}

fn write(context: &Context, state: &CurrentState, is_reminder: bool) -> Result<Letter, Fault> {
    let CurrentState {
        invitation,
        organization,
        inviter,
    } = state;
    let token = context.guestlist.token(invitation)?;
    let role = context.guestlist.role_model().get(&invitation.role);
    let letter = letters::Invitation {
        organization: organization.name.to_string(),
        inviter: inviter.as_ref().map(|inviter| Person {
            name: inviter.name.as_ref().map(ToString::to_string),
            email: inviter.email.to_string(),
        }),
        role: role
            .map_or(invitation.role.as_str(), |role| role.display_name())
            .to_owned(),
        link: (context.link)(&token),
        expires_at: invitation.expires_at,
        message: invitation
            .message
            .as_ref()
            .map(|message| message.as_str().to_owned()),
    };
    Ok(if is_reminder {
        Letter::Reminder(letter)
    } else {
        Letter::Invitation(letter)
    })
}

fn conclude(
    LetterRef {
        invitation, letter, ..
    }: LetterRef,
    posted: Posted,
) -> Outcome {
    let report = |delivery, detail: Option<&str>| {
        let detail = detail.map(str::to_owned);
        Some(DeliveryReport::new(invitation, letter, delivery, detail))
    };
    match posted {
        Posted::Accepted => Outcome {
            report: report(Delivery::Sent, None),
            ..Next::Done.into()
        },
        Posted::Deferred { next, why } => Outcome {
            report: report(Delivery::Deferred, Some(&why)),
            ..next.into()
        },
        Posted::Waiting(next) => next.into(),
        Posted::Refused { why } => Outcome {
            report: report(Delivery::Failed, Some(&why)).map(DeliveryReport::suppressing),
            ..Next::Done.into()
        },
        Posted::Faulty { why } => {
            let report = report(Delivery::Deferred, Some(&why));
            Outcome {
                report,
                ..Next::Dead { why }.into()
            }
        }
    }
}

fn suppress(invitation: InvitationId, letter: i64, why: String) -> Outcome {
    let detail = Some(why.clone());
    let report = DeliveryReport::new(invitation, letter, Delivery::Suppressed, detail);
    Outcome {
        report: Some(report),
        ..Next::Cancel { why }.into()
    }
}

/// Removes the report of a reminder that was not delivered: it does not change the delivery state
/// of the letter it reminds of. An address that is refused permanently is reported for both.
fn without_report_of(is_reminder: bool, outcome: Outcome) -> Outcome {
    let is_failure = |report: &DeliveryReport| report.delivery == Delivery::Failed;
    let report = outcome
        .report
        .filter(|report| !is_reminder || is_failure(report));
    Outcome { report, ..outcome }
}

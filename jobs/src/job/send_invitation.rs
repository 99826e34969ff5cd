//! The job that sends the link of an invitation, and its reminder.

use std::time::Instant;

use guestlist::outbox::Message;
use guestlist::worker::{DeliveryReport, LetterFacts};
use guestlist::{
    Delivery, EmailAddress, Invitation, InvitationId, Membership, Organization, Status,
};

use super::letter::{Unsent, attempt, not_delivered, render};
use super::{Fault, Jobs, Next, Outcome};
use crate::context::Context;
use crate::delivery::{self, Conclusion};
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

/// An invitation letter on its way.
struct InvitationLetter<'a> {
    jobs: &'a Jobs,
    message: &'a Message,
    letter: LetterRef,
}

/// Sends a letter, unless the current state makes it pointless. The state read last decides.
pub(super) async fn run(
    jobs: &Jobs,
    message: &Message,
    held: &Held,
    letter: LetterRef,
) -> Result<Outcome, Fault> {
    let delivering = InvitationLetter {
        jobs,
        message,
        letter,
    };
    let outcome = match jobs.delivery.deliver(message, held, &delivering).await {
        Ok(delivered) => Outcome {
            attempt: attempt(message, &delivered, &delivered.state.invitation.email),
            unsettled: Some(delivered.unsettled),
            ..conclude(letter, jobs.conclude(message, delivered.verdict).await?)
        },
        Err(reason) => not_delivered(reason)?,
    };
    Ok(without_report_of(letter.is_reminder, outcome))
}

impl delivery::Letter for InvitationLetter<'_> {
    type State = CurrentState;
    type Error = Unsent;

    async fn read(&self) -> Result<Timestamped<CurrentState>, Unsent> {
        let asked = Instant::now();
        let found = self.jobs.letter_facts.load(self.letter.invitation).await?;
        let value = judge(&self.jobs.context, found, self.letter).map_err(|outcome| *outcome)?;
        fail_point!("letter::facts", |lost| guestlist::Error::Database(
            sqlx::Error::Io(lost)
        ));
        Ok(Timestamped { value, asked })
    }

    fn recipient<'a>(&self, state: &'a CurrentState) -> &'a EmailAddress {
        &state.invitation.email
    }

    fn render(&self, state: &CurrentState) -> Result<Mail, Unsent> {
        let context = &self.jobs.context;
        let letter = write(context, state, self.letter.is_reminder)?;
        let Invitation { email, locale, .. } = &state.invitation;
        Ok(render(
            context,
            self.message,
            &letter,
            email,
            locale,
            Some((self.letter.invitation, self.letter.letter)),
        )?)
    }
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
    conclusion: Conclusion,
) -> Outcome {
    let report = |delivery, detail: Option<&str>| {
        let detail = detail.map(str::to_owned);
        DeliveryReport::new(invitation, letter, delivery, detail)
    };
    match conclusion {
        Conclusion::Accepted => Outcome {
            report: Some(report(Delivery::Sent, None)),
            ..Next::Done.into()
        },
        Conclusion::Deferred { next, text } => Outcome {
            report: Some(report(Delivery::Deferred, Some(&text))),
            ..next.into()
        },
        Conclusion::Waiting(next) => next.into(),
        Conclusion::Failed { text, suppresses } => {
            let report = report(Delivery::Failed, Some(&text));
            Outcome {
                report: Some(if suppresses {
                    report.suppressing()
                } else {
                    report
                }),
                ..Next::Done.into()
            }
        }
        Conclusion::Dead { text } => Outcome {
            report: Some(report(Delivery::Deferred, Some(&text))),
            ..Next::Dead { why: text }.into()
        },
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

//! Mails an invitation's link, and mails it again as a reminder.

use guestlist::outbox::Message;
use guestlist::worker::DeliveryReport;
use guestlist::{Delivery, Invitation, InvitationId, Membership, Organization, Status};

use super::posting::{Posted, Posting, post};
use super::{Fault, Next, Outcome};
use crate::context::Context;
use crate::leases::Held;
use crate::letters::{self, Letter, Person};

/// The state of now, as one letter needs it.
struct Facts {
    invitation: Invitation,
    organization: Organization,
    inviter: Membership,
}

/// Sends letter number `letter` of an invitation, unless what happened meanwhile makes it
/// pointless.
pub(super) async fn run(
    context: &Context,
    message: &Message,
    held: &Held,
    invitation: InvitationId,
    letter: i64,
    is_reminder: bool,
) -> Result<Outcome, Fault> {
    let facts = match gather(context, invitation, letter).await? {
        Ok(facts) => facts,
        Err(outcome) => return Ok(without_report_of(is_reminder, outcome)),
    };
    let posting = Posting {
        letter: write(context, &facts, is_reminder)?,
        to: &facts.invitation.email,
        locale: &facts.invitation.locale,
    };
    let posted = post(context, message, held, posting).await?;
    Ok(without_report_of(
        is_reminder,
        conclude(invitation, letter, posted),
    ))
}

/// Reads what the letter says, or why it is not to be sent.
async fn gather(
    context: &Context,
    id: InvitationId,
    letter: i64,
) -> Result<Result<Facts, Outcome>, Fault> {
    let library = &context.library;
    let mut connection = context.database.acquire().await?;
    let Some(invitation) = library.invitation(&mut connection, id).await? else {
        return Ok(Err(Outcome::cancelled("the invitation is gone")));
    };
    if invitation.letters != letter {
        return Ok(Err(Outcome::cancelled("a newer letter was promised")));
    }
    let suppressed = |why: String| Ok(Err(suppress(id, letter, why)));
    match invitation.status_at(library.now()) {
        Status::Pending => {}
        status => return suppressed(format!("not sent: the invitation is {status}")),
    }
    if !library.grant_holds(&mut connection, &invitation).await? {
        return suppressed("not sent: who invited may no longer grant this role".to_owned());
    }
    if let Some(reason) = guestlist::worker::suppression(&mut connection, &invitation.email).await?
    {
        return suppressed(format!(
            "not sent: an earlier letter to this address was refused: {reason}"
        ));
    }
    let organization = library
        .organization(&mut connection, invitation.organization)
        .await?;
    let inviter = library
        .membership(
            &mut connection,
            invitation.organization,
            &invitation.granted_by,
        )
        .await?;
    match (organization, inviter) {
        (Some(organization), Some(inviter)) => Ok(Ok(Facts {
            invitation,
            organization,
            inviter,
        })),
        _ => suppressed("not sent: the organization or the inviter is gone".to_owned()),
    }
}

fn write(context: &Context, facts: &Facts, is_reminder: bool) -> Result<Letter, Fault> {
    let Facts {
        invitation,
        organization,
        inviter,
    } = facts;
    let token = context.library.token(invitation)?;
    let role = context.library.role_model().get(&invitation.role);
    let letter = letters::Invitation {
        organization: organization.name.to_string(),
        inviter: Person {
            name: inviter.name.as_ref().map(ToString::to_string),
            email: inviter.email.to_string(),
        },
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

fn conclude(invitation: InvitationId, letter: i64, posted: Posted) -> Outcome {
    let report = |delivery, detail: Option<&str>| {
        let detail = detail.map(str::to_owned);
        Some(DeliveryReport {
            invitation,
            letter,
            delivery,
            detail,
        })
    };
    match posted {
        Posted::Accepted => Outcome {
            next: Next::Done,
            report: report(Delivery::Sent, None),
        },
        Posted::Deferred { next, why } => Outcome {
            next,
            report: report(Delivery::Deferred, Some(&why)),
        },
        Posted::Waiting(next) => next.into(),
        Posted::Refused { why } => Outcome {
            next: Next::Done,
            report: report(Delivery::Failed, Some(&why)),
        },
        Posted::Faulty { why } => {
            let report = report(Delivery::Deferred, Some(&why));
            Outcome {
                next: Next::Dead { why },
                report,
            }
        }
    }
}

fn suppress(invitation: InvitationId, letter: i64, why: String) -> Outcome {
    let detail = Some(why.clone());
    let report = DeliveryReport {
        invitation,
        letter,
        delivery: Delivery::Suppressed,
        detail,
    };
    Outcome {
        next: Next::Cancel { why },
        report: Some(report),
    }
}

/// A reminder that is not delivered does not undo the delivery of the letter it reminds of, but
/// an address that is refused for good is refused for both.
fn without_report_of(is_reminder: bool, outcome: Outcome) -> Outcome {
    let is_failure = |report: &DeliveryReport| report.delivery == Delivery::Failed;
    let report = outcome
        .report
        .filter(|report| !is_reminder || is_failure(report));
    Outcome { report, ..outcome }
}

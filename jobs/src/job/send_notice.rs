//! The job that notifies a person of an event by letter.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Instant;

use chrono::TimeDelta;
use guestlist::outbox::Message;
use guestlist::{
    Actor, Addressee, EmailAddress, Error, Event, EventId, EventKind, Invitation, InvitationId,
    Locale, Membership, Organization, PooledConnection, Role, UserId,
};
use serde_json::Value as Json;

use super::letter::{Unsent, attempt, not_delivered, render};
use super::{Fault, Jobs, Next, Outcome};
use crate::context::Context;
use crate::deadline::in_time;
use crate::delivery::{self, Conclusion};
use crate::leases::Held;
use crate::letters::{Letter, Person};
use crate::mail::Mail;
use crate::timestamped::Timestamped;

/// The time after which a notice is given up: RFC 5321 section 4.5.4.1 advises four to five days.
const MAX_NOTICE_AGE: TimeDelta = TimeDelta::days(5);

/// A notice and its recipient.
struct Notice {
    letter: Letter,
    to: EmailAddress,
    locale: Locale,
    /// The invitation that it is about, if any.
    invitation: Option<InvitationId>,
}

/// The reason why there is no notice of an event.
enum NoNotice {
    /// The event, its organization or its recipient is gone.
    Gone,
    /// The event holds a value that cannot be read; a person has to look at it.
    Unreadable {
        field: &'static str,
        problem: String,
    },
}

impl From<NoNotice> for Next {
    fn from(reason: NoNotice) -> Self {
        match reason {
            NoNotice::Gone => Self::Cancel {
                why: "the event, its organization or its recipient is gone".to_owned(),
            },
            NoNotice::Unreadable { field, problem } => Self::Dead {
                why: format!("the {field} in the event cannot be read: {problem}"),
            },
        }
    }
}

/// A notice on its way.
struct NoticeLetter<'a> {
    jobs: &'a Jobs,
    message: &'a Message,
    event: EventId,
}

/// Sends the notice of an event, unless its recipient is gone. The state read last decides.
pub(super) async fn run(
    jobs: &Jobs,
    message: &Message,
    held: &Held,
    event: EventId,
) -> Result<Outcome, Fault> {
    if jobs.context.guestlist.now() > message.created_at + MAX_NOTICE_AGE {
        return Ok(Outcome::cancelled(
            "the notice could not be delivered for five days",
        ));
    }
    let letter = NoticeLetter {
        jobs,
        message,
        event,
    };
    let delivered = match jobs.delivery.deliver(message, held, &letter).await {
        Ok(delivered) => delivered,
        Err(reason) => return not_delivered(reason),
    };
    let mut attempt = attempt(message, &delivered, &delivered.state.to);
    if let Some(attempt) = &mut attempt {
        attempt.invitation = delivered.state.invitation;
    }
    let outcome = match jobs.conclude(message, delivered.verdict).await? {
        Conclusion::Accepted => Next::Done.into(),
        Conclusion::Deferred { next, .. } | Conclusion::Waiting(next) => next.into(),
        Conclusion::Failed { text, .. } => Outcome::cancelled(text),
        Conclusion::Dead { text } => Next::Dead { why: text }.into(),
    };
    Ok(Outcome {
        attempt,
        unsettled: Some(delivered.unsettled),
        ..outcome
    })
}

impl delivery::Letter for NoticeLetter<'_> {
    type State = Notice;
    type Error = Unsent;

    async fn read(&self) -> Result<Timestamped<Notice>, Unsent> {
        let context = &self.jobs.context;
        let asked = Instant::now();
        let notice = match in_time(gather(context, self.event)).await? {
            Ok(notice) => notice,
            Err(reason) => return Err(Outcome::from(Next::from(reason)).into()),
        };
        if let Some(reason) = in_time(context.suppression(&notice.to)).await? {
            let why = format!("an earlier letter to this address was refused: {reason}");
            return Err(Outcome::cancelled(why).into());
        }
        Ok(Timestamped {
            value: notice,
            asked,
        })
    }

    fn recipient<'a>(&self, notice: &'a Notice) -> &'a EmailAddress {
        &notice.to
    }

    fn render(&self, notice: &Notice) -> Result<Mail, Unsent> {
        let Notice {
            letter, to, locale, ..
        } = notice;
        Ok(render(
            &self.jobs.context,
            self.message,
            letter,
            to,
            locale,
            None,
        )?)
    }
}

async fn gather(context: &Context, id: EventId) -> Result<Result<Notice, NoNotice>, Error> {
    let mut connection = context.database.acquire().await?;
    let Some(event) = Event::find(&mut connection, id).await? else {
        return Ok(Err(NoNotice::Gone));
    };
    let organization = context
        .guestlist
        .organization(&mut connection, event.organization)
        .await?;
    let Some(organization) = organization else {
        return Ok(Err(NoNotice::Gone));
    };
    match event.kind.addressee() {
        Some(Addressee::Inviter) => {
            let notice = to_inviter(context, &mut connection, &event, organization).await?;
            Ok(notice.ok_or(NoNotice::Gone))
        }
        Some(Addressee::Member) => to_member(context, &mut connection, &event, organization).await,
        None => Ok(Err(NoNotice::Gone)),
    }
}

async fn to_inviter(
    context: &Context,
    connection: &mut PooledConnection,
    event: &Event,
    organization: Organization,
) -> Result<Option<Notice>, Error> {
    let Some(id) = event.subject.parse().ok() else {
        return Ok(None);
    };
    let Some(invitation) = context.guestlist.invitation(&mut *connection, id).await? else {
        return Ok(None);
    };
    let Some(inviter) = invitation.granted_by.user_id() else {
        return Ok(None);
    };
    let Some(inviter) = membership(context, connection, event, inviter).await? else {
        return Ok(None);
    };
    let letter = about_invitation(context, event, &invitation, organization.name.to_string());
    Ok(letter.map(|letter| Notice {
        letter,
        to: inviter.email,
        locale: inviter.locale,
        invitation: Some(id),
    }))
}

fn about_invitation(
    context: &Context,
    event: &Event,
    invitation: &Invitation,
    organization: String,
) -> Option<Letter> {
    let invitee = invitation.email.to_string();
    let role = title(context, &invitation.role);
    match event.kind {
        EventKind::InvitationAccepted => {
            let member = event.after.as_ref()?.get("member")?;
            let name = text(member, "name");
            let role = text(member, "role").and_then(|role| role.parse().ok());
            let role = title(context, role.as_ref().unwrap_or(&invitation.role));
            let member = Person {
                name,
                email: text(member, "email")?,
            };
            Some(Letter::Accepted {
                organization,
                member,
                role,
            })
        }
        EventKind::InvitationDeclined => Some(Letter::Declined {
            organization,
            invitee,
            role,
        }),
        EventKind::InvitationExpired => Some(Letter::Expired {
            organization,
            invitee,
            role,
        }),
        EventKind::InvitationUndeliverable | EventKind::InvitationBounced => {
            let facts = event.after.as_ref()?;
            if facts["is_suppressed"] == true {
                return Some(Letter::Unreachable {
                    organization,
                    invitee,
                    role,
                });
            }
            let reason = text(facts, "reason")?;
            Some(Letter::Undeliverable {
                organization,
                invitee,
                role,
                reason,
            })
        }
        _ => None,
    }
}

async fn to_member(
    context: &Context,
    connection: &mut PooledConnection,
    event: &Event,
    organization: Organization,
) -> Result<Result<Notice, NoNotice>, Error> {
    let actor = event.attribution.actor.as_ref();
    let by = match actor.and_then(Actor::user_id) {
        Some(actor) => membership(context, connection, event, actor)
            .await?
            .map(person),
        None => None,
    };
    Ok(about_member(
        context,
        event,
        organization.name.to_string(),
        by,
    ))
}

/// Builds a notice to a member. Takes the address from the event, because the member may be gone.
fn about_member(
    context: &Context,
    event: &Event,
    organization: String,
    by: Option<Person>,
) -> Result<Notice, NoNotice> {
    let before = event.before.as_ref().ok_or(NoNotice::Gone)?;
    let letter = match event.kind {
        EventKind::MemberSuspended => Letter::Suspended { organization, by },
        EventKind::MemberReinstated => Letter::Reinstated { organization, by },
        EventKind::MemberRemoved => Letter::Removed { organization, by },
        EventKind::RoleChanged | EventKind::OwnershipTransferred => {
            let after = event.after.as_ref().ok_or(NoNotice::Gone)?;
            let (before, after): (Role, Role) = (parsed(before, "role")?, parsed(after, "role")?);
            Letter::RoleChanged {
                organization,
                before: title(context, &before),
                after: title(context, &after),
                by,
            }
        }
        _ => return Err(NoNotice::Gone),
    };
    let locale = text(before, "locale").and_then(|locale| locale.parse().ok());
    Ok(Notice {
        letter,
        to: parsed(before, "email")?,
        locale: locale.unwrap_or_default(),
        invitation: None,
    })
}

/// Reads a field of an event.
fn parsed<T>(fields: &Json, field: &'static str) -> Result<T, NoNotice>
where
    T: FromStr<Err: Display>,
{
    let unreadable = |problem: String| NoNotice::Unreadable { field, problem };
    let text = text(fields, field).ok_or_else(|| unreadable("it is missing".to_owned()))?;
    text.parse()
        .map_err(|problem: T::Err| unreadable(problem.to_string()))
}

async fn membership(
    context: &Context,
    connection: &mut PooledConnection,
    event: &Event,
    user: &UserId,
) -> Result<Option<Membership>, Error> {
    let member = context
        .guestlist
        .find_member(connection, event.organization, user)
        .await?;
    Ok(member.filter(|member| !member.is_suspended()))
}

fn person(membership: Membership) -> Person {
    let name = membership.name.map(String::from);
    Person {
        name,
        email: membership.email.to_string(),
    }
}

fn title(context: &Context, role: &Role) -> String {
    let definition = context.guestlist.role_model().get(role);
    definition
        .map_or(role.as_str(), |role| role.display_name())
        .to_owned()
}

fn text(fields: &Json, key: &str) -> Option<String> {
    fields.get(key)?.as_str().map(str::to_owned)
}

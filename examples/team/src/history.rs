//! The history page of an organization: its events as sentences.

use std::collections::HashMap;

use axum::extract::{Query, State};
use guestlist::{Actor, Event, EventKind, OrganizationId, Paging, UserId};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::account::Account;
use crate::app::App;
use crate::member::Member;
use crate::page::{Frame, Page, Place};
use crate::problem::Problem;
use crate::times;

/// The number of events on a page.
const LENGTH: u32 = 50;

#[derive(Deserialize)]
pub(crate) struct From {
    before: Option<String>,
}

pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Query(from): Query<From>,
) -> Result<Page, Problem> {
    member.require_manager()?;
    let paging = match from.before {
        Some(cursor) => Paging::after(cursor.into(), LENGTH),
        None => Paging::first(LENGTH),
    };
    let organization: OrganizationId = member.organization.id;
    let mut connection = app.database.acquire().await?;
    let page = app
        .guestlist
        .latest_events(&mut connection, organization, &paging)
        .await?;
    let names = Names {
        people: names_of_people(&app, &page.items).await?,
        invitees: addresses_of_invitees(&app, &page.items).await?,
    };
    let events: Vec<_> = page
        .items
        .iter()
        .map(|event| json!({ "at": times::moment(event.at), "words": sentence(&app, &names, event) }))
        .collect();
    let data = json!({ "events": events, "older": page.next });
    Ok(frame.page("history", "History", Place::In(&member, "history"), data))
}

/// Names and addresses for the ids in events, where they are still known.
struct Names {
    /// Names by user id.
    people: HashMap<String, String>,
    /// E-mail addresses by invitation id.
    invitees: HashMap<String, String>,
}

/// Looks up the names of the actors and subjects of events.
async fn names_of_people(app: &App, events: &[Event]) -> Result<HashMap<String, String>, Problem> {
    let mut names = HashMap::new();
    let mut connection = app.database.acquire().await?;
    for event in events {
        let actor = event.attribution.actor.as_ref().and_then(Actor::user_id);
        let actor = actor.map(UserId::as_str);
        for id in actor.into_iter().chain([event.subject.as_str()]) {
            if names.contains_key(id) {
                continue;
            }
            let Ok(user) = id.parse() else { continue };
            let account = Account::find(&mut connection, &user).await?;
            names.extend(account.map(|account| (id.to_owned(), account.name.to_string())));
        }
    }
    Ok(names)
}

/// Looks up the addresses of invitations for events that hold only the invitation's id.
async fn addresses_of_invitees(
    app: &App,
    events: &[Event],
) -> Result<HashMap<String, String>, Problem> {
    let mut emails = HashMap::new();
    let mut connection = app.database.acquire().await?;
    let shown = |event: &&Event| event.kind == EventKind::InvitationLinkShown;
    for event in events.iter().filter(shown) {
        let Ok(id) = event.subject.parse() else {
            continue;
        };
        let found = app.guestlist.invitation(&mut connection, id).await?;
        emails.extend(found.map(|found| (event.subject.clone(), found.email.to_string())));
    }
    Ok(emails)
}

/// Describes an event in a sentence, without its full stop.
fn sentence(app: &App, names: &Names, event: &Event) -> String {
    let name = |id: &str| {
        names
            .people
            .get(id)
            .cloned()
            .unwrap_or_else(|| "someone".to_owned())
    };
    let actor = match event.attribution.actor.as_ref() {
        Some(Actor::Member(id)) => name(id.as_str()),
        Some(Actor::Operator { name, .. }) => name.to_string(),
        _ => "The application".to_owned(),
    };
    let (before, after) = (Snapshot(app, &event.before), Snapshot(app, &event.after));
    let subject = name(&event.subject);
    match event.kind {
        EventKind::OrganizationCreated => format!("{actor} created {}", after.text("name")),
        EventKind::OrganizationRenamed => {
            format!("{actor} renamed the organization to {}", after.text("name"))
        }
        EventKind::OrganizationDeleted => format!("{actor} deleted the organization"),
        EventKind::SeatsChanged => "The number of seats was changed".to_owned(),
        EventKind::InvitationCreated => {
            format!(
                "{actor} invited {} as {}",
                after.text("email"),
                after.role()
            )
        }
        EventKind::InvitationResent => {
            format!("{actor} resent the invitation to {}", after.text("email"))
        }
        EventKind::InvitationRoleChanged => format!(
            "{actor} changed the role in the invitation for {} from {} to {}",
            after.text("email"),
            before.role(),
            after.role()
        ),
        EventKind::InvitationRevoked => match event.attribution.actor {
            Some(_) => format!(
                "{actor} cancelled the invitation for {}",
                after.text("email")
            ),
            None => format!("The invitation for {} was cancelled", after.text("email")),
        },
        EventKind::InvitationAccepted => {
            format!("{actor} accepted the invitation as {}", after.role())
        }
        EventKind::InvitationDeclined => format!("{} declined the invitation", after.text("email")),
        EventKind::InvitationExpired => {
            format!("The invitation for {} expired", before.text("email"))
        }
        EventKind::InvitationUndeliverable => {
            format!(
                "The e-mail to {} could not be delivered",
                after.text("email")
            )
        }
        EventKind::InvitationBounced => {
            format!("The e-mail to {} came back", after.text("email"))
        }
        EventKind::InvitationBouncedLate => {
            format!("An earlier e-mail to {} came back", after.text("email"))
        }
        EventKind::InvitationLinkShown => match names.invitees.get(&event.subject) {
            Some(email) => format!("{actor} viewed the invitation link for {email}"),
            None => format!("{actor} viewed an invitation link"),
        },
        EventKind::RoleChanged
            if event
                .attribution
                .actor
                .as_ref()
                .and_then(Actor::user_id)
                .map(UserId::as_str)
                == Some(&event.subject) =>
        {
            format!("{actor} became {}", after.role())
        }
        EventKind::RoleChanged => {
            format!(
                "{actor} changed {subject} from {} to {}",
                before.role(),
                after.role()
            )
        }
        EventKind::OwnershipTransferred => format!("{actor} transferred ownership to {subject}"),
        EventKind::MemberSuspended => format!("{actor} suspended {subject}"),
        EventKind::MemberReinstated => format!("{actor} reinstated {subject}"),
        EventKind::MemberRemoved => format!("{actor} removed {subject}, who was {}", before.role()),
        EventKind::MemberLeft => format!("{actor} left"),
        EventKind::MemberForgotten => "A member's account was deleted".to_owned(),
        kind => kind.to_string().replace('_', " "),
    }
}

/// The state of a subject before or after an event, as recorded in the event.
struct Snapshot<'a>(&'a App, &'a Option<Json>);

impl Snapshot<'_> {
    fn text(&self, field: &str) -> String {
        let text = self.1.as_ref().and_then(|fields| fields[field].as_str());
        text.unwrap_or("someone").to_owned()
    }

    fn role(&self) -> String {
        let role = self.text("role");
        match role.parse() {
            Ok(role) => self.0.role_title(&role).to_owned(),
            Err(_) => role,
        }
    }
}

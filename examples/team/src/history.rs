//! The history of an organization, for people.

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

/// Events of a page.
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
        people: people(&app, &page.items).await?,
        invitees: invitees(&app, &page.items).await?,
    };
    let events: Vec<_> = page
        .items
        .iter()
        .map(|event| json!({ "at": times::moment(event.at), "words": words(&app, &names, event) }))
        .collect();
    let facts = json!({ "events": events, "older": page.next });
    Ok(frame.page("history", "History", Place::In(&member, "history"), facts))
}

/// What the ids in events stand for, as far as it is still known.
struct Names {
    people: HashMap<String, String>,
    /// The addresses of invitations.
    invitees: HashMap<String, String>,
}

/// The names of who acted and whom it happened to.
async fn people(app: &App, events: &[Event]) -> Result<HashMap<String, String>, Problem> {
    let mut names = HashMap::new();
    let mut connection = app.database.acquire().await?;
    for event in events {
        let actor = event.attribution.actor.as_ref().and_then(Actor::member);
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

/// Whose invitations those are of which an event keeps only the id.
async fn invitees(app: &App, events: &[Event]) -> Result<HashMap<String, String>, Problem> {
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

/// An event as a sentence.
fn words(app: &App, names: &Names, event: &Event) -> String {
    let name = |id: &str| {
        names
            .people
            .get(id)
            .cloned()
            .unwrap_or_else(|| "somebody".to_owned())
    };
    let who = match event.attribution.actor.as_ref() {
        Some(Actor::Member(id)) => name(id.as_str()),
        Some(Actor::Operator { name, .. }) => name.to_string(),
        _ => "The application".to_owned(),
    };
    let (before, after) = (Facts(app, &event.before), Facts(app, &event.after));
    let whom = name(&event.subject);
    match event.kind {
        EventKind::OrganizationCreated => format!("{who} created {}", after.text("name")),
        EventKind::OrganizationRenamed => {
            format!("{who} renamed the organization to {}", after.text("name"))
        }
        EventKind::OrganizationDeleted => format!("{who} deleted the organization"),
        EventKind::SeatsChanged => "The number of seats was changed".to_owned(),
        EventKind::InvitationCreated => {
            format!("{who} invited {} as {}", after.text("email"), after.role())
        }
        EventKind::InvitationResent => {
            format!("{who} sent {} the invitation again", after.text("email"))
        }
        EventKind::InvitationRoleChanged => format!(
            "{who} changed the invitation of {} from {} to {}",
            after.text("email"),
            before.role(),
            after.role()
        ),
        EventKind::InvitationRevoked => match event.attribution.actor {
            Some(_) => format!("{who} cancelled the invitation of {}", after.text("email")),
            None => format!("The invitation of {} was cancelled", after.text("email")),
        },
        EventKind::InvitationAccepted => {
            format!("{who} accepted the invitation as {}", after.role())
        }
        EventKind::InvitationDeclined => format!("{} declined the invitation", after.text("email")),
        EventKind::InvitationExpired => {
            format!("The invitation of {} expired", before.text("email"))
        }
        EventKind::InvitationUndeliverable => {
            format!(
                "The letter to {} could not be delivered",
                after.text("email")
            )
        }
        EventKind::InvitationLinkShown => match names.invitees.get(&event.subject) {
            Some(email) => format!("{who} looked at the link of the invitation of {email}"),
            None => format!("{who} looked at the link of an invitation"),
        },
        EventKind::RoleChanged
            if event
                .attribution
                .actor
                .as_ref()
                .and_then(Actor::member)
                .map(UserId::as_str)
                == Some(&event.subject) =>
        {
            format!("{who} became {}", after.role())
        }
        EventKind::RoleChanged => {
            format!(
                "{who} changed {whom} from {} to {}",
                before.role(),
                after.role()
            )
        }
        EventKind::OwnershipTransferred => format!("{who} transferred the ownership to {whom}"),
        EventKind::MemberSuspended => format!("{who} suspended {whom}"),
        EventKind::MemberReinstated => format!("{who} reinstated {whom}"),
        EventKind::MemberRemoved => format!("{who} removed {whom}, who was {}", before.role()),
        EventKind::MemberLeft => format!("{who} left"),
        EventKind::MemberForgotten => "A member's account was deleted".to_owned(),
        kind => kind.to_string().replace('_', " "),
    }
}

/// What an event keeps of its subject.
struct Facts<'a>(&'a App, &'a Option<Json>);

impl Facts<'_> {
    fn text(&self, fact: &str) -> String {
        let fact = self.1.as_ref().and_then(|facts| facts[fact].as_str());
        fact.unwrap_or("somebody").to_owned()
    }

    fn role(&self) -> String {
        let role = self.text("role");
        match role.parse() {
            Ok(role) => self.0.role_title(&role).to_owned(),
            Err(_) => role,
        }
    }
}

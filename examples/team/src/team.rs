//! The team page: members and invitations, each with the actions that the visitor may take.

pub(crate) mod invitations;
pub(crate) mod members;

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::response::Redirect;
use guestlist::{
    Cursor, Delivery, Filter, Invitation, Membership, Paging, PooledConnection, Role, Status,
    UserId,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use self::invitations::Draft;
use crate::account::Account;
use crate::app::App;
use crate::member::Member;
use crate::page::{Frame, Page, Place};
use crate::problem::Problem;
use crate::times;

/// The maximum number of members, pending invitations and expired invitations on a page.
const LENGTH: u32 = 100;

/// The cursors at which the lists of the page start, or `None` for the beginning. Forms on the page carry them, so
/// that an action leads back to the same part of each list.
#[derive(Deserialize, Default)]
pub(crate) struct Starts {
    members: Option<String>,
    pending: Option<String>,
    expired: Option<String>,
}

impl Starts {
    fn all(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("members", self.members.as_deref()),
            ("pending", self.pending.as_deref()),
            ("expired", self.expired.as_deref()),
        ]
    }

    /// Returns the cursor at which a list starts.
    fn of(&self, list: &str) -> Option<&str> {
        let found = self.all().into_iter().find(|(name, _)| *name == list);
        found.and_then(|(_, start)| start)
    }

    /// Returns a list with links to its next part, and to its first part unless that is shown. The links keep the
    /// positions of the other lists.
    fn list(&self, member: &Member, name: &str, rows: Vec<Json>, next: Option<Cursor>) -> Json {
        let next = next.map(|cursor| cursor.to_string());
        let more = next.map(|start| self.address(member, name, Some(&start)));
        let first = self.of(name).map(|_| self.address(member, name, None));
        json!({ "rows": rows, "more": more, "first": first })
    }

    fn address(&self, member: &Member, list: &str, start: Option<&str>) -> String {
        let moved = |(name, current)| (name, if name == list { start } else { current });
        let query = query(self.all().map(moved));
        format!("{}{query}#{list}", member.path("settings/team"))
    }

    /// Returns the query string that forms and links of the page carry to keep these positions.
    fn here(&self) -> String {
        query(self.all())
    }

    /// Redirects to the page, at the same positions, and to an element of it.
    fn back(&self, member: &Member, element: &str) -> Redirect {
        let page = member.path("settings/team");
        Redirect::to(&format!("{page}{}#{element}", self.here()))
    }
}

fn query(starts: [(&'static str, Option<&str>); 3]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, start) in starts {
        if let Some(start) = start {
            query.append_pair(name, start);
        }
    }
    match query.finish() {
        none if none.is_empty() => none,
        query => format!("?{query}"),
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Query(starts): Query<Starts>,
) -> Result<Page, Problem> {
    page(&app, &member, &frame, starts, Draft::default()).await
}

/// Renders the page, with the input and the results of its form.
pub(crate) async fn page(
    app: &App,
    member: &Member,
    frame: &Frame,
    starts: Starts,
    draft: Draft,
) -> Result<Page, Problem> {
    let mut data = json!({
        "role_title": app.role_title(member.role()),
        "members": members(app, member, &starts).await?,
        "invite": null,
        "here": starts.here(),
    });
    if member.manages {
        data["invite"] = invite_form(app, member, draft);
        for (list, status) in [("pending", Status::Pending), ("expired", Status::Expired)] {
            data[list] = invitations(app, member, &starts, list, status).await?;
        }
    }
    Ok(frame.page("team", "Team", Place::In(member, "team"), data))
}

async fn members(app: &App, member: &Member, starts: &Starts) -> Result<Json, Problem> {
    let organization = member.organization.id;
    let mut connection = app.database.acquire().await?;
    let last_owner = app
        .guestlist
        .last_owner(&mut connection, organization)
        .await?;
    let paging = paging(starts.of("members"));
    let page = app
        .guestlist
        .members(&mut connection, organization, &paging)
        .await?;
    let visitor = Visitor {
        app,
        member,
        last_owner,
    };
    let rows: Vec<_> = page
        .items
        .iter()
        .map(|other| visitor.member_row(other))
        .collect();
    Ok(starts.list(member, "members", rows, page.next))
}

fn paging(start: Option<&str>) -> Paging {
    match start {
        Some(cursor) => Paging::after(cursor.to_owned().into(), LENGTH),
        None => Paging::first(LENGTH),
    }
}

/// The member that looks at the page. The page offers only the actions that the member's role allows; the library
/// checks again when an action is requested.
struct Visitor<'a> {
    app: &'a App,
    member: &'a Member,
    last_owner: Option<UserId>,
}

impl Visitor<'_> {
    fn member_row(&self, other: &Membership) -> Json {
        let model = self.app.guestlist.role_model();
        let own = self.member.role();
        let is_you = other.user == self.member.account.id;
        let is_last_owner = self.last_owner.as_ref() == Some(&other.user);
        let may_remove = model.may_remove(own, &other.role) && !is_you && !is_last_owner;
        let may_transfer = own == model.keeps() && !is_you && !other.is_suspended();
        json!({
            "id": other.user,
            "name": other.name.as_ref().map_or(other.email.as_str(), |name| name.as_str()),
            "email": other.email,
            "role": other.role,
            "role_title": self.app.role_title(&other.role),
            "joined": times::day(other.joined_at),
            "is_you": is_you,
            "is_fixed": is_last_owner && self.changes_roles(),
            "is_suspended": other.is_suspended(),
            "options": self.options(&other.role, is_last_owner),
            "may_remove": may_remove,
            "may_suspend": may_remove && !other.is_suspended(),
            "may_reinstate": may_remove && other.is_suspended(),
            "may_transfer": may_transfer,
            "may_leave": is_you && !is_last_owner,
        })
    }

    /// Returns true if the visitor may change any role, and so expects a role selector for every member.
    fn changes_roles(&self) -> bool {
        let (model, own) = (self.app.guestlist.role_model(), self.member.role());
        let names = || model.roles().iter().map(|role| role.name());
        names().any(|from| names().any(|to| from != to && model.may_change(own, from, to)))
    }

    /// Lists the roles that the visitor can give a member, with the current one. Empty if there is no other.
    fn options(&self, current: &Role, is_last_owner: bool) -> Vec<Json> {
        let model = self.app.guestlist.role_model();
        let may_become = |role: &Role| {
            role == current || !is_last_owner && model.may_change(self.member.role(), current, role)
        };
        let names = model.roles().iter().map(|role| role.name());
        let options: Vec<_> = names.filter(|role| may_become(role)).collect();
        if options.iter().all(|role| *role == current) {
            return Vec::new();
        }
        let option = |role: &Role| json!({ "role": role, "title": self.app.role_title(role), "selected": role == current });
        options.into_iter().map(option).collect()
    }
}

/// Lists the invitations of a status, each with the actions that the visitor may take.
async fn invitations(
    app: &App,
    member: &Member,
    starts: &Starts,
    list: &str,
    status: Status,
) -> Result<Json, Problem> {
    let organization = member.organization.id;
    let mut connection = app.database.acquire().await?;
    let (filter, paging) = (Filter::Only(status), paging(starts.of(list)));
    let page = app
        .guestlist
        .invitations(&mut connection, organization, filter, &paging)
        .await?;
    let inviters = names(&mut connection, &page.items).await?;
    let row = |invitation: &Invitation| invitation_row(app, member, &inviters, invitation);
    let rows: Vec<_> = page.items.iter().map(row).collect();
    Ok(starts.list(member, list, rows, page.next))
}

fn invitation_row(
    app: &App,
    member: &Member,
    inviters: &HashMap<UserId, String>,
    invitation: &Invitation,
) -> Json {
    let model = app.guestlist.role_model();
    let now = app.guestlist.now();
    let is_expired = invitation.status_at(now) == Status::Expired;
    let may_grant = model.may_invite(member.role(), &invitation.role);
    let may_cancel = model.may_revoke(member.role(), &invitation.role);
    json!({
        "id": invitation.id,
        "email": invitation.email,
        "role_title": app.role_title(&invitation.role),
        "invited_by": invitation.granted_by.user_id().and_then(|user| inviters.get(user)),
        "is_expired": is_expired,
        "expires_in": times::span(invitation.expires_at - now),
        "expired_at": times::moment(invitation.expires_at),
        "delivery": delivery(invitation),
        "delivery_detail": invitation.delivery_detail,
        "may_resend": may_grant,
        "may_cancel": may_cancel && !is_expired,
        "may_see_link": may_grant && !is_expired,
    })
}

/// Describes the delivery of the newest letter.
fn delivery(invitation: &Invitation) -> &'static str {
    match invitation.delivery {
        Delivery::Queued => "E-mail on its way",
        Delivery::Paused => "E-mail waits, because sending is paused for everybody",
        Delivery::Sent => "E-mail sent",
        Delivery::Deferred => "E-mail delayed",
        Delivery::Failed => "E-mail not delivered",
        Delivery::Bounced => "E-mail came back",
        Delivery::Suppressed => "No e-mail sent",
        _ => "E-mail",
    }
}

async fn names(
    connection: &mut PooledConnection,
    invitations: &[Invitation],
) -> Result<HashMap<UserId, String>, Problem> {
    let mut names = HashMap::new();
    for invitation in invitations {
        let Some(user) = invitation.granted_by.user_id() else {
            continue;
        };
        if names.contains_key(user) {
            continue;
        }
        let account = Account::find(&mut *connection, user).await?;
        names.extend(account.map(|account| (user.clone(), account.name.to_string())));
    }
    Ok(names)
}

fn invite_form(app: &App, member: &Member, draft: Draft) -> Json {
    let model = app.guestlist.role_model();
    let names = model.roles().iter().map(|role| role.name());
    let may_invite = names.filter(|role| model.may_invite(member.role(), role));
    let roles: Vec<_> = may_invite
        .map(|role| {
            let selected = draft.role == role.as_str();
            json!({ "role": role, "title": app.role_title(role), "selected": selected })
        })
        .collect();
    let locales: Vec<_> = invitations::LANGUAGES
        .iter()
        .map(|(tag, name)| json!({ "tag": tag, "name": name, "selected": draft.locale == *tag }))
        .collect();
    json!({
        "roles": roles,
        "locales": locales,
        "emails": draft.emails,
        "message": draft.message,
        "problem": draft.problem,
        "outcomes": draft.outcomes,
        "most": invitations::MAX_ADDRESSES,
    })
}

//! The team page: members, invitations, and the actions that the visitor may take.

use std::fmt::Write;

use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use guestlist::{
    Access, Actor, Database, Error, Invite, Organization, OrganizationId, Paging, UserId,
};
use guestlist_jobs::sessions::purge;
use serde::Deserialize;
use sqlx::{query, query_scalar};

use crate::app::App;
use crate::page::{Problem, escape, page};
use crate::sessions::SignedIn;
use crate::transaction::retry_on_conflict;

/// The application's own data about a team.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS teams (
    organization_id BLOB PRIMARY KEY,
    plan TEXT NOT NULL)";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/teams", post(create))
        .route("/teams/{team}", get(show))
        .route("/teams/{team}/invitations", post(invite))
        .route("/teams/{team}/members/{user}/remove", post(remove))
}

async fn home(State(app): State<App>, me: SignedIn) -> Result<Html<String>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let memberships = app
        .guestlist
        .memberships(&mut *connection, &me.account.user_id()?, &Paging::default())
        .await?;
    let mut body = String::new();
    for membership in memberships.items {
        let (id, role) = (membership.organization, &membership.role);
        let team = app.guestlist.organization(&mut *connection, id).await?;
        let name = team.map_or_else(String::new, |team| escape(team.name.as_str()));
        let _ = write!(body, "<p><a href='/teams/{id}'>{name}</a>, {role}</p>");
    }
    body += "<form method=post action=/teams>
                 <input name=name placeholder='Name of a team' required>
                 <select name=plan><option>free<option>paid</select>
                 <button>Create</button>
             </form>
             <form method=post action=/sign-out><button>Sign out</button></form>";
    Ok(page("Your teams", &body))
}

#[derive(Deserialize)]
struct Create {
    name: String,
    plan: String,
}

async fn create(
    State(app): State<App>,
    me: SignedIn,
    Form(form): Form<Create>,
) -> Result<Redirect, Problem> {
    let team = retry_on_conflict(|| try_create(&app, &me, &form)).await?;
    app.waker.wake();
    Ok(Redirect::to(&format!("/teams/{}", team.id)))
}

/// Creates the organization, the application's own row and the record of the creator's session in one transaction.
async fn try_create(app: &App, me: &SignedIn, form: &Create) -> Result<Organization, Error> {
    let owner = me.account.user()?;
    let mut tx = app.pool.begin_with("BEGIN IMMEDIATE").await?;
    let team = app
        .guestlist
        .create(&mut *tx, form.name.parse()?, &owner)
        .await?;
    query("INSERT INTO teams (organization_id, plan) VALUES ($1, $2)")
        .bind(team.id)
        .bind(&form.plan)
        .execute(&mut *tx)
        .await?;
    app.guestlist
        .record_session(&mut *tx, team.id, &owner.id, &me.session)
        .await?;
    tx.commit().await?;
    Ok(team)
}

/// Checks access to a team. Every request for a team calls this, which is one read.
async fn member(app: &App, team: OrganizationId, me: &SignedIn) -> Result<Access, Error> {
    let mut connection = app.pool.acquire().await?;
    let member = app
        .guestlist
        .access(&mut *connection, &me.account.user_id()?, team)
        .await?;
    member.ok_or(Error::NotFound)
}

async fn show(
    State(app): State<App>,
    Path(team): Path<OrganizationId>,
    me: SignedIn,
) -> Result<Html<String>, Problem> {
    let me = member(&app, team, &me).await?;
    let (guestlist, model) = (&app.guestlist, app.guestlist.role_model());
    let mut connection = app.pool.acquire().await?;
    let organization = guestlist.organization(&mut *connection, team).await?;
    let organization = organization.ok_or(Error::NotFound)?;
    let plan: String = query_scalar("SELECT plan FROM teams WHERE organization_id = $1")
        .bind(team)
        .fetch_one(&mut *connection)
        .await?;
    let all = Paging::first(Paging::MAX_LIMIT);
    let members = guestlist.members(&mut *connection, team, &all).await?;
    let invited = guestlist.pending(&mut *connection, team, &all).await?;

    let mut body = format!("<p>Plan: {}</p><ul>", escape(&plan));
    for member in members.items {
        let (email, role) = (escape(member.email.as_str()), &member.role);
        let _ = write!(body, "<li>{email}, {role}");
        if model.may_remove(&me.role, &member.role) {
            let action = format!("/teams/{team}/members/{}/remove", member.user);
            let _ = write!(body, "<form method=post action='{action}'>");
            body += "<button>Remove</button></form>";
        }
    }
    for invitation in invited.items {
        let (email, role) = (escape(invitation.email.as_str()), &invitation.role);
        let delivery = invitation.delivery.as_str();
        let _ = write!(body, "<li>{email}, invited as {role}, e-mail {delivery}");
    }
    let _ = write!(
        body,
        "</ul><form method=post action='/teams/{team}/invitations'>"
    );
    body += "<input name=email type=email placeholder=Address required><select name=role>";
    for role in model.roles() {
        if model.may_invite(&me.role, role.name()) {
            let (name, title) = (role.name(), escape(role.display_name()));
            let _ = write!(body, "<option value='{name}'>{title}");
        }
    }
    body += "</select><button>Invite</button></form>";
    Ok(page(organization.name.as_str(), &body))
}

#[derive(Deserialize)]
struct Invitee {
    email: String,
    role: String,
}

async fn invite(
    State(app): State<App>,
    Path(team): Path<OrganizationId>,
    me: SignedIn,
    Form(form): Form<Invitee>,
) -> Result<Redirect, Problem> {
    retry_on_conflict(|| try_invite(&app, &me, team, &form)).await?;
    app.waker.wake();
    Ok(Redirect::to(&format!("/teams/{team}")))
}

async fn try_invite(
    app: &App,
    me: &SignedIn,
    team: OrganizationId,
    form: &Invitee,
) -> Result<(), Error> {
    let invite = Invite::new(form.email.parse()?, form.role.parse()?);
    let mut tx = app.pool.begin_with("BEGIN IMMEDIATE").await?;
    app.guestlist
        .act(Actor::member(&me.account.user_id()?))
        .in_organization(team)
        .invite(&mut *tx, invite)
        .await?;
    tx.commit().await?;
    Ok(())
}

async fn remove(
    State(app): State<App>,
    Path((team, user)): Path<(OrganizationId, UserId)>,
    me: SignedIn,
) -> Result<Redirect, Problem> {
    retry_on_conflict(|| try_remove(&app, &me, team, &user)).await?;
    app.waker.wake();
    let database = Database::from(&app.pool);
    if let Err(error) = purge(&database, &app.session_stores, team, Some(&user)).await {
        eprintln!("sessions were not purged here, the worker will purge them: {error}");
    }
    Ok(Redirect::to(&format!("/teams/{team}")))
}

async fn try_remove(
    app: &App,
    me: &SignedIn,
    team: OrganizationId,
    user: &UserId,
) -> Result<(), Error> {
    let mut tx = app.pool.begin_with("BEGIN IMMEDIATE").await?;
    app.guestlist
        .act(Actor::member(&me.account.user_id()?))
        .in_organization(team)
        .remove(&mut *tx, user)
        .await?;
    tx.commit().await?;
    Ok(())
}

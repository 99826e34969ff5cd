//! What is done to members: another role, suspension, removal, leaving, transfer.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use guestlist::{Action, Membership, OrganizationId, Role, Transaction, UserId};
use guestlist_jobs::sessions::purge;
use serde::Deserialize;
use serde_json::json;

use super::Starts;
use crate::app::App;
use crate::member::Member;
use crate::notice;
use crate::page::{Frame, Page, Place};
use crate::problem::Problem;
use crate::sessions;

/// Where a route names an organization and one of its members.
type OfMember = Path<(OrganizationId, UserId)>;

#[derive(Deserialize)]
pub(crate) struct NewRole {
    role: String,
}

pub(crate) async fn change_role(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): OfMember,
    Query(starts): Query<Starts>,
    Form(new): Form<NewRole>,
) -> Result<Redirect, Problem> {
    let role: Role = new.role.parse().map_err(guestlist::Error::from)?;
    let mut tx = app.database.begin().await?;
    let changed = app
        .guestlist
        .act(&member.account.id)
        .in_organization(organization)
        .change_role(&mut tx, &user, &role)
        .await?;
    app.commit(tx).await?;
    let done = format!(
        "{} is {} now.",
        name(&changed),
        app.role_title(&changed.role)
    );
    notice::leave(&member.session, done).await?;
    Ok(starts.back(&member, &place(&user)))
}

/// Asks first, and says what a removal does.
pub(crate) async fn ask_remove(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Path((organization, user)): OfMember,
    Query(starts): Query<Starts>,
) -> Result<Page, Problem> {
    let other = find(&app, organization, &user).await?;
    let model = app.guestlist.role_model();
    if !model.may_remove(member.role(), &other.role) {
        return Err(member.may_not(Action::Remove));
    }
    let facts = json!({
        "here": starts.here(),
        "member": { "id": user, "name": name(&other), "email": other.email },
    });
    Ok(frame.page(
        "remove",
        "Remove a member",
        Place::In(&member, "team"),
        facts,
    ))
}

/// Removes, and answers when the member's sessions are gone.
pub(crate) async fn remove(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): OfMember,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let removed = app
        .guestlist
        .find_member(&mut tx, organization, &user)
        .await?;
    app.guestlist
        .act(&member.account.id)
        .in_organization(organization)
        .remove(&mut tx, &user)
        .await?;
    end(&app, tx, organization, &user).await?;
    let removed = removed.as_ref().map_or("The member", name);
    notice::leave(
        &member.session,
        format!("{removed} was removed and has no access any more."),
    )
    .await?;
    Ok(starts.back(&member, "members"))
}

pub(crate) async fn suspend(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): OfMember,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let suspended = app
        .guestlist
        .act(&member.account.id)
        .in_organization(organization)
        .suspend(&mut tx, &user)
        .await?;
    end(&app, tx, organization, &user).await?;
    let done = format!(
        "{} is suspended and has no access for now.",
        name(&suspended)
    );
    notice::leave(&member.session, done).await?;
    Ok(starts.back(&member, &place(&user)))
}

pub(crate) async fn reinstate(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): OfMember,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let reinstated = app
        .guestlist
        .act(&member.account.id)
        .in_organization(organization)
        .reinstate(&mut tx, &user)
        .await?;
    app.commit(tx).await?;
    notice::leave(
        &member.session,
        format!("{} has access again.", name(&reinstated)),
    )
    .await?;
    Ok(starts.back(&member, &place(&user)))
}

pub(crate) async fn ask_transfer(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Path((organization, user)): OfMember,
    Query(starts): Query<Starts>,
) -> Result<Page, Problem> {
    let heir = find(&app, organization, &user).await?;
    let model = app.guestlist.role_model();
    if member.role() != model.keeps() {
        return Err(member.may_not(Action::TransferOwnership));
    }
    let facts = json!({
        "here": starts.here(),
        "member": { "id": user, "name": name(&heir), "email": heir.email },
        "owner": app.role_title(model.keeps()),
        "below": app.role_title(model.below_kept()),
    });
    Ok(frame.page(
        "transfer",
        "Transfer the ownership",
        Place::In(&member, "team"),
        facts,
    ))
}

pub(crate) async fn transfer(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): OfMember,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let heir = app
        .guestlist
        .act(&member.account.id)
        .in_organization(organization)
        .transfer_ownership(&mut tx, &user)
        .await?;
    app.commit(tx).await?;
    notice::leave(
        &member.session,
        format!("{} is the owner now.", name(&heir)),
    )
    .await?;
    Ok(starts.back(&member, "members"))
}

pub(crate) async fn ask_leave(
    State(app): State<App>,
    member: Member,
    frame: Frame,
) -> Result<Page, Problem> {
    let mut connection = app.database.acquire().await?;
    let last_owner = app
        .guestlist
        .last_owner(&mut connection, member.organization.id)
        .await?;
    let facts = json!({ "is_last_owner": last_owner.as_ref() == Some(&member.account.id) });
    Ok(frame.page("leave", "Leave", Place::In(&member, "team"), facts))
}

pub(crate) async fn leave(State(app): State<App>, member: Member) -> Result<Redirect, Problem> {
    let (organization, user) = (member.organization.id, &member.account.id);
    let mut tx = app.database.begin().await?;
    app.guestlist
        .act(user)
        .in_organization(organization)
        .leave(&mut tx)
        .await?;
    end(&app, tx, organization, user).await?;
    // The session may have ended with the membership, and the account goes on.
    sessions::sign_in(&app, &member.session, &member.account).await?;
    notice::leave(
        &member.session,
        format!("You left {}.", member.organization.name),
    )
    .await?;
    Ok(Redirect::to("/organizations"))
}

/// Commits the end of an access and waits until the sessions are gone. Where that fails, or this
/// process dies, the worker does it.
async fn end(
    app: &App,
    tx: Transaction,
    organization: OrganizationId,
    user: &UserId,
) -> Result<(), Problem> {
    app.commit(tx).await?;
    let purged = purge(&app.database, &app.session_stores, organization, Some(user)).await;
    if let Err(error) = purged {
        tracing::warn!(%error, "sessions are left to the worker: {error}");
    }
    Ok(())
}

async fn find(
    app: &App,
    organization: OrganizationId,
    user: &UserId,
) -> Result<Membership, Problem> {
    let mut connection = app.database.acquire().await?;
    let found = app
        .guestlist
        .find_member(&mut connection, organization, user)
        .await?;
    Ok(found.ok_or(guestlist::Error::NotFound)?)
}

/// What people call a member.
fn name(member: &Membership) -> &str {
    let name = member.name.as_ref().map(|name| name.as_str());
    name.unwrap_or(member.email.as_str())
}

/// A member's place on the team page, which browsers go to where no script keeps it.
fn place(user: &UserId) -> String {
    format!("member-{user}")
}

//! Actions on members: change of role, suspension, removal, leaving, transfer of ownership.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use guestlist::{Action, Actor, Membership, OrganizationId, Role, Transaction, UserId};
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

/// The ids in a route of an organization's member.
type MemberPath = Path<(OrganizationId, UserId)>;

#[derive(Deserialize)]
pub(crate) struct NewRole {
    role: String,
}

pub(crate) async fn change_role(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): MemberPath,
    Query(starts): Query<Starts>,
    Form(new): Form<NewRole>,
) -> Result<Redirect, Problem> {
    let role: Role = new.role.parse().map_err(guestlist::Error::from)?;
    let mut tx = app.database.begin().await?;
    let changed = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .in_organization(organization)
        .change_role(&mut tx, &user, &role)
        .await?;
    app.commit(tx).await?;
    let done = format!(
        "The role of {} is now {}.",
        name(&changed),
        app.role_title(&changed.role)
    );
    notice::leave(&member.session, done).await?;
    Ok(starts.back(&member, &row_id(&user)))
}

/// Shows the confirmation page, which says what a removal does.
pub(crate) async fn ask_remove(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Path((organization, user)): MemberPath,
    Query(starts): Query<Starts>,
) -> Result<Page, Problem> {
    let other = find(&app, organization, &user).await?;
    let model = app.guestlist.role_model();
    if !model.may_remove(member.role(), &other.role) {
        return Err(member.may_not(Action::Remove));
    }
    let data = json!({
        "here": starts.here(),
        "member": { "id": user, "name": name(&other), "email": other.email },
    });
    Ok(frame.page(
        "remove",
        "Remove a member",
        Place::In(&member, "team"),
        data,
    ))
}

/// Removes a member. Responds after the member's sessions are purged.
pub(crate) async fn remove(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): MemberPath,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let removed = app
        .guestlist
        .find_member(&mut tx, organization, &user)
        .await?;
    app.guestlist
        .act(Actor::member(&member.account.id))
        .in_organization(organization)
        .remove(&mut tx, &user)
        .await?;
    commit_and_purge(&app, tx, organization, &user).await?;
    let removed = removed.as_ref().map_or("The member", name);
    notice::leave(
        &member.session,
        format!("{removed} was removed and no longer has access."),
    )
    .await?;
    Ok(starts.back(&member, "members"))
}

pub(crate) async fn suspend(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): MemberPath,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let suspended = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .in_organization(organization)
        .suspend(&mut tx, &user)
        .await?;
    commit_and_purge(&app, tx, organization, &user).await?;
    let done = format!(
        "{} is suspended and has no access for now.",
        name(&suspended)
    );
    notice::leave(&member.session, done).await?;
    Ok(starts.back(&member, &row_id(&user)))
}

pub(crate) async fn reinstate(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): MemberPath,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let reinstated = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .in_organization(organization)
        .reinstate(&mut tx, &user)
        .await?;
    app.commit(tx).await?;
    notice::leave(
        &member.session,
        format!("{} has access again.", name(&reinstated)),
    )
    .await?;
    Ok(starts.back(&member, &row_id(&user)))
}

pub(crate) async fn ask_transfer(
    State(app): State<App>,
    member: Member,
    frame: Frame,
    Path((organization, user)): MemberPath,
    Query(starts): Query<Starts>,
) -> Result<Page, Problem> {
    let new_owner = find(&app, organization, &user).await?;
    let model = app.guestlist.role_model();
    if member.role() != model.keeps() {
        return Err(member.may_not(Action::TransferOwnership));
    }
    let data = json!({
        "here": starts.here(),
        "member": { "id": user, "name": name(&new_owner), "email": new_owner.email },
        "owner": app.role_title(model.keeps()),
        "below": app.role_title(model.below_kept()),
    });
    Ok(frame.page(
        "transfer",
        "Transfer the ownership",
        Place::In(&member, "team"),
        data,
    ))
}

pub(crate) async fn transfer(
    State(app): State<App>,
    member: Member,
    Path((organization, user)): MemberPath,
    Query(starts): Query<Starts>,
) -> Result<Redirect, Problem> {
    let mut tx = app.database.begin().await?;
    let new_owner = app
        .guestlist
        .act(Actor::member(&member.account.id))
        .in_organization(organization)
        .transfer_ownership(&mut tx, &user)
        .await?;
    app.commit(tx).await?;
    notice::leave(
        &member.session,
        format!("{} is now the owner.", name(&new_owner)),
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
    let data = json!({ "is_last_owner": last_owner.as_ref() == Some(&member.account.id) });
    Ok(frame.page("leave", "Leave", Place::In(&member, "team"), data))
}

pub(crate) async fn leave(State(app): State<App>, member: Member) -> Result<Redirect, Problem> {
    let (organization, user) = (member.organization.id, &member.account.id);
    let mut tx = app.database.begin().await?;
    app.guestlist
        .act(Actor::member(user))
        .in_organization(organization)
        .leave(&mut tx)
        .await?;
    commit_and_purge(&app, tx, organization, user).await?;
    // The session may have ended with the membership, but the account stays signed in.
    sessions::sign_in(&app, &member.session, &member.account).await?;
    notice::leave(
        &member.session,
        format!("You left {}.", member.organization.name),
    )
    .await?;
    Ok(Redirect::to("/organizations"))
}

/// Commits the end of a membership's access and purges its sessions. If that fails or this process dies, the worker
/// purges them.
async fn commit_and_purge(
    app: &App,
    tx: Transaction,
    organization: OrganizationId,
    user: &UserId,
) -> Result<(), Problem> {
    app.commit(tx).await?;
    let purged = purge(&app.database, &app.session_stores, organization, Some(user)).await;
    if let Err(error) = purged {
        tracing::warn!(%error, "sessions were not purged here, the worker will purge them: {error}");
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

/// Returns the name of a member, or the address if there is no name.
fn name(member: &Membership) -> &str {
    let name = member.name.as_ref().map(|name| name.as_str());
    name.unwrap_or(member.email.as_str())
}

/// Returns the id of a member's row on the team page. Browsers without scripts scroll there.
fn row_id(user: &UserId) -> String {
    format!("member-{user}")
}

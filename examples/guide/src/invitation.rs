//! The page of an invitation link.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use axum::routing::get;
use guestlist::{Error, Membership};
use tower_cookies::Cookies;

use crate::app::App;
use crate::page::{Problem, escape, page};
use crate::sessions::{self, SignedIn};
use crate::transaction::retry_on_conflict;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/invitations/{token}", get(show).post(accept))
}

/// Shows the invitation without changing it.
async fn show(
    State(app): State<App>,
    Path(token): Path<String>,
    cookies: Cookies,
) -> Result<Html<String>, Problem> {
    let mut connection = app.pool.acquire().await?;
    let invitation = app.guestlist.open(&mut *connection, &token).await?;
    let team = app
        .guestlist
        .organization(&mut *connection, invitation.organization)
        .await?
        .ok_or(Error::NotFound)?;
    drop(connection);
    let words = format!(
        "<p>{} is invited to {} as {}.</p>",
        escape(invitation.email.as_str()),
        escape(team.name.as_str()),
        invitation.role
    );
    let answer = match sessions::find(&app, &cookies).await? {
        Some(_) => "<form method=post><button>Accept</button></form>",
        None => "<p><a href=/sign-in>Sign in</a> first, then open the link again.</p>",
    };
    Ok(page("You are invited", &(words + answer)))
}

/// Accepts the invitation with the signed-in account.
async fn accept(
    State(app): State<App>,
    Path(token): Path<String>,
    me: SignedIn,
) -> Result<Redirect, Problem> {
    let membership = retry_on_conflict(|| try_accept(&app, &me, &token)).await?;
    app.waker.wake();
    Ok(Redirect::to(&format!("/teams/{}", membership.organization)))
}

async fn try_accept(app: &App, me: &SignedIn, token: &str) -> Result<Membership, Error> {
    let user = me.account.user()?;
    let mut tx = app.pool.begin_with("BEGIN IMMEDIATE").await?;
    let membership = app.guestlist.accept(&mut *tx, token, &user).await?;
    app.guestlist
        .record_session(&mut *tx, membership.organization, &user.id, &me.session)
        .await?;
    tx.commit().await?;
    Ok(membership)
}

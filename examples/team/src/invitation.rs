//! The page of an invitation link: shows the invitation and takes the answer to it.

mod ended;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use guestlist::{Invitation, Transaction};
use serde::Deserialize;
use serde_json::json;
use tower_cookies::Cookies;

use crate::account::Account;
use crate::app::App;
use crate::client::Client;
use crate::cookie::INVITATION;
use crate::member::SignedIn;
use crate::page::{Frame, Place};
use crate::password;
use crate::problem::Problem;
use crate::sign_in::{self, REFUSED};
use crate::sign_up::{Checked, Person};
use crate::{notice, sessions, shown_link};

/// Handles the link in the letter: moves the token from the URL into a cookie. It changes nothing else, so that mail
/// scanners can follow the link without harm.
pub(crate) async fn follow(
    State(app): State<App>,
    Path(token): Path<String>,
    cookies: Cookies,
) -> Redirect {
    INVITATION.keep(&app, &cookies, token);
    Redirect::to("/invitation")
}

/// Shows the invitation without changing it.
pub(crate) async fn show(
    State(app): State<App>,
    frame: Frame,
    cookies: Cookies,
) -> Result<Response, Problem> {
    match open(&app, &cookies).await {
        Ok(invitation) => Ok(page(&app, &frame, &invitation, "", None)
            .await?
            .into_response()),
        Err(problem) => ended::page(&frame, problem),
    }
}

async fn open(app: &App, cookies: &Cookies) -> Result<Invitation, Problem> {
    let mut connection = app.database.acquire().await?;
    let invitation = app.guestlist.open(&mut connection, &token(cookies)).await?;
    if !guestlist::worker::grant_holds(&app.guestlist, &mut connection, &invitation).await? {
        return Err(guestlist::Error::InviterLostRight.into());
    }
    Ok(invitation)
}

/// Returns the token in this browser's cookie, or an empty and thus invalid one.
fn token(cookies: &Cookies) -> String {
    INVITATION.read(cookies).unwrap_or_default()
}

/// Renders the invitation with the ways to accept it. A visitor that is signed out sees both ways, sign-up and
/// sign-in: the page must not reveal whether the address has an account.
async fn page(
    app: &App,
    frame: &Frame,
    invitation: &Invitation,
    name: &str,
    problem: Option<&str>,
) -> Result<impl IntoResponse + use<>, Problem> {
    let mut connection = app.database.acquire().await?;
    let organization = app
        .guestlist
        .organization(&mut connection, invitation.organization)
        .await?;
    let inviter = match invitation.granted_by.user_id() {
        Some(user) => Account::find(&mut connection, user).await?,
        None => None,
    };
    let is_for = |account: &Account| account.email.canonical() == invitation.email.canonical();
    let data = json!({
        "organization": organization.map(|organization| organization.name),
        "inviter": inviter.map(|account| account.name),
        "role_title": app.role_title(&invitation.role),
        "message": invitation.message,
        "email": invitation.email,
        "is_yours": frame.account.as_ref().is_some_and(is_for),
        "was_shown": shown_link::was_shown(&mut connection, invitation.id).await?,
        "rules": password::RULES,
        "name": name,
        "problem": problem,
    });
    Ok(frame.page("invitation", "You are invited", Place::Anywhere, data))
}

/// Accepts the invitation with the account that is signed in.
pub(crate) async fn accept(
    State(app): State<App>,
    SignedIn { account, .. }: SignedIn,
    frame: Frame,
    cookies: Cookies,
) -> Result<Response, Problem> {
    let tx = app.database.begin().await?;
    join(&app, &frame, &cookies, tx, &account).await
}

/// Creates an account and accepts the invitation in one transaction. The link proves the address, because it was
/// sent to it. A link that was shown to a member may have come another way and is refused here.
pub(crate) async fn set_password(
    State(app): State<App>,
    frame: Frame,
    cookies: Cookies,
    Form(person): Form<Person>,
) -> Result<Response, Problem> {
    let invitation = match open(&app, &cookies).await {
        Ok(invitation) => invitation,
        Err(problem) => return ended::page(&frame, problem),
    };
    if shown_link::was_shown(&mut app.database.acquire().await?, invitation.id).await? {
        return show_problem(&app, &frame, &invitation, &person.name, UNPROVEN).await;
    }
    let Checked { name, password } = match person.check(&invitation.email) {
        Ok(checked) => checked,
        Err(problem) => {
            return show_problem(&app, &frame, &invitation, &person.name, &problem).await;
        }
    };
    let password = password.hash().await?;
    let mut tx = app.database.begin().await?;
    match Account::create(&mut tx, invitation.email.clone(), name, password).await? {
        Some(account) => join(&app, &frame, &cookies, tx, &account).await,
        None => show_problem(&app, &frame, &invitation, &person.name, KNOWN).await,
    }
}

/// The problem shown if the link was also shown to a member.
const UNPROVEN: &str =
    "This link does not prove that the address is yours. Sign up with the address first.";

/// The problem shown if the address already has an account. Its password is not changed.
const KNOWN: &str = "That did not work. If you already have a password for this address, sign in with it \
     to accept.";

#[derive(Deserialize)]
pub(crate) struct Known {
    password: String,
}

/// Signs in with the invited address and accepts the invitation.
pub(crate) async fn sign_in_and_accept(
    State(app): State<App>,
    client: Client,
    frame: Frame,
    cookies: Cookies,
    Form(known): Form<Known>,
) -> Result<Response, Problem> {
    let invitation = match open(&app, &cookies).await {
        Ok(invitation) => invitation,
        Err(problem) => return ended::page(&frame, problem),
    };
    let account = sign_in::authenticate(&app, &client, &invitation.email, known.password).await?;
    let Some(account) = account else {
        return show_problem(&app, &frame, &invitation, "", REFUSED).await;
    };
    let tx = app.database.begin().await?;
    join(&app, &frame, &cookies, tx, &account).await
}

/// Accepts the invitation, commits the transaction and redirects to the organization.
async fn join(
    app: &App,
    frame: &Frame,
    cookies: &Cookies,
    mut tx: Transaction,
    account: &Account,
) -> Result<Response, Problem> {
    let accepted = app
        .guestlist
        .accept(&mut tx, &token(cookies), &account.user())
        .await;
    let membership = match accepted {
        Ok(membership) => membership,
        Err(error) => return ended::page(frame, error.into()),
    };
    app.commit(tx).await?;
    let organization = membership.organization;
    let is_signed_in = frame
        .account
        .as_ref()
        .is_some_and(|own| own.id == account.id);
    if is_signed_in {
        sessions::record(app, &frame.session, organization, &account.id).await?;
    } else {
        sessions::sign_in(app, &frame.session, account).await?;
    }
    INVITATION.forget(cookies);
    let done = format!(
        "Welcome! Your role is {}.",
        app.role_title(&membership.role)
    );
    notice::leave(&frame.session, done).await?;
    Ok(Redirect::to(&format!("/organizations/{organization}/inbox")).into_response())
}

/// Signs out the current account. The invitation stays open in this browser.
pub(crate) async fn switch(State(app): State<App>, frame: Frame) -> Result<Redirect, Problem> {
    sessions::sign_out(&app, &frame.session).await?;
    Ok(Redirect::to("/invitation"))
}

/// Declines the invitation, which needs no account.
pub(crate) async fn decline(
    State(app): State<App>,
    frame: Frame,
    cookies: Cookies,
) -> Result<Response, Problem> {
    let mut tx = app.database.begin().await?;
    if let Err(error) = app.guestlist.decline(&mut tx, &token(&cookies)).await {
        return ended::page(&frame, error.into());
    }
    app.commit(tx).await?;
    INVITATION.forget(&cookies);
    let data =
        json!({ "words": "You declined the invitation. The person who invited you will be told." });
    Ok(frame
        .page("message", "Declined", Place::Anywhere, data)
        .into_response())
}

/// Shows the page again with a problem.
async fn show_problem(
    app: &App,
    frame: &Frame,
    invitation: &Invitation,
    name: &str,
    problem: &str,
) -> Result<Response, Problem> {
    let page = page(app, frame, invitation, name, Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

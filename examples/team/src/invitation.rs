//! The page behind an invitation's link: who invites whom to what, and the answer to it.

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

/// The letter's link. It takes the token out of the address and changes nothing, whoever follows it.
pub(crate) async fn follow(
    State(app): State<App>,
    Path(token): Path<String>,
    cookies: Cookies,
) -> Redirect {
    INVITATION.keep(&app, &cookies, token);
    Redirect::to("/invitation")
}

/// Reads and shows; only a form changes anything.
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

/// The token in this browser, or one that opens nothing.
fn token(cookies: &Cookies) -> String {
    INVITATION.read(cookies).unwrap_or_default()
}

/// The invitation, and a way to accept it for whoever looks at it. Who is signed out finds both ways:
/// the page does not tell whether the address has an account.
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
    let inviter = match invitation.granted_by.member() {
        Some(user) => Account::find(&mut connection, user).await?,
        None => None,
    };
    let is_for = |account: &Account| account.email.canonical() == invitation.email.canonical();
    let facts = json!({
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
    Ok(frame.page("invitation", "You are invited", Place::Anywhere, facts))
}

/// Accepts as who is signed in.
pub(crate) async fn accept(
    State(app): State<App>,
    SignedIn { account, .. }: SignedIn,
    frame: Frame,
    cookies: Cookies,
) -> Result<Response, Problem> {
    let tx = app.database.begin().await?;
    join(&app, &frame, &cookies, tx, &account).await
}

/// Creates the account and accepts, in one transaction: whoever has the letter has the address. Where the link
/// may have come by another way, that is to be proven first.
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
        return again(&app, &frame, &invitation, &person.name, UNPROVEN).await;
    }
    let Checked { name, password } = match person.check(&invitation.email) {
        Ok(checked) => checked,
        Err(problem) => return again(&app, &frame, &invitation, &person.name, &problem).await,
    };
    let password = password.hash().await?;
    let mut tx = app.database.begin().await?;
    match Account::create(&mut tx, invitation.email.clone(), name, password).await? {
        Some(account) => join(&app, &frame, &cookies, tx, &account).await,
        None => again(&app, &frame, &invitation, &person.name, KNOWN).await,
    }
}

/// What is said where the link may not be from the letter.
const UNPROVEN: &str = "This link does not prove that the address is yours. Sign up with it first.";

/// What is said where the address has an account already, whose password stays as it is.
const KNOWN: &str = "This did not work. If you chose a password for this address before, sign in with it \
     to accept.";

#[derive(Deserialize)]
pub(crate) struct Known {
    password: String,
}

/// Signs the invited address in, and accepts.
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
        return again(&app, &frame, &invitation, "", REFUSED).await;
    };
    let tx = app.database.begin().await?;
    join(&app, &frame, &cookies, tx, &account).await
}

/// Accepts in what is left of a transaction, and leads into the organization.
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
        "Welcome! You are {} here.",
        app.role_title(&membership.role)
    );
    notice::leave(&frame.session, done).await?;
    Ok(Redirect::to(&format!("/organizations/{organization}/inbox")).into_response())
}

/// Signs out whoever else is signed in; the invitation stays open in this browser.
pub(crate) async fn switch(State(app): State<App>, frame: Frame) -> Result<Redirect, Problem> {
    sessions::sign_out(&app, &frame.session).await?;
    Ok(Redirect::to("/invitation"))
}

/// Says no, which needs no account.
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
    let facts = json!({ "words": "You declined the invitation. Who invited you is told." });
    Ok(frame
        .page("message", "Declined", Place::Anywhere, facts)
        .into_response())
}

/// The page again, with what to do otherwise.
async fn again(
    app: &App,
    frame: &Frame,
    invitation: &Invitation,
    name: &str,
    problem: &str,
) -> Result<Response, Problem> {
    let page = page(app, frame, invitation, name, Some(problem)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

//! Signing in and out.

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use guestlist::EmailAddress;
use serde::Deserialize;
use serde_json::json;
use tower_sessions::Session;

use crate::account::Account;
use crate::app::App;
use crate::client::Client;
use crate::page::{Frame, Place};
use crate::problem::Problem;
use crate::{notice, password, sessions};

/// The problem shown for a wrong password and for an unknown address alike.
pub(crate) const REFUSED: &str = "The e-mail address or the password is wrong.";

#[derive(Deserialize)]
pub(crate) struct Credentials {
    email: String,
    password: String,
}

pub(crate) async fn show(frame: Frame) -> Response {
    form(&frame, "", None).into_response()
}

fn form(frame: &Frame, email: &str, problem: Option<&str>) -> impl IntoResponse + use<> {
    let data = json!({ "email": email, "problem": problem });
    frame.page("sign_in", "Sign in", Place::Anywhere, data)
}

pub(crate) async fn sign_in(
    State(app): State<App>,
    client: Client,
    frame: Frame,
    Form(credentials): Form<Credentials>,
) -> Result<Response, Problem> {
    let Credentials { email, password } = credentials;
    let account = match email.trim().parse() {
        Ok(address) => authenticate(&app, &client, &address, password).await?,
        Err(_) => None,
    };
    let Some(account) = account else {
        let form = form(&frame, &email, Some(REFUSED));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response());
    };
    sessions::sign_in(&app, &frame.session, &account).await?;
    Ok(Redirect::to("/").into_response())
}

/// Returns the account of an address if the password matches. An address without an account takes the same time and
/// has the same limit of attempts.
pub(crate) async fn authenticate(
    app: &App,
    client: &Client,
    email: &EmailAddress,
    password: String,
) -> Result<Option<Account>, Problem> {
    app.attempts.count(client.0, email)?;
    let account = Account::with_email(&mut app.database.acquire().await?, email).await?;
    let hash = account
        .as_ref()
        .map(|account| account.password_hash().to_owned());
    let is_right = password::matches(password, hash).await?;
    Ok(account.filter(|_| is_right))
}

pub(crate) async fn sign_out(
    State(app): State<App>,
    session: Session,
) -> Result<Redirect, Problem> {
    sessions::sign_out(&app, &session).await?;
    notice::leave(&session, "You are signed out.").await?;
    Ok(Redirect::to("/sign-in"))
}

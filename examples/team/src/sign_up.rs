//! Signing up: the person enters an address, follows the link in a letter, then chooses name and password.

use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use guestlist::{EmailAddress, Name};
use serde::Deserialize;
use serde_json::json;
use tower_cookies::Cookies;

use crate::account::Account;
use crate::app::App;
use crate::cookie::SIGN_UP;
use crate::page::{Frame, Place};
use crate::password::{self, Password};
use crate::problem::Problem;
use crate::{confirmation, notice, sessions};

#[derive(Deserialize)]
pub(crate) struct Address {
    email: String,
}

/// Name and password as typed.
#[derive(Deserialize)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) again: String,
}

/// Name and password after validation.
pub(crate) struct Checked {
    pub(crate) name: Name,
    pub(crate) password: Password,
}

impl Person {
    /// Checks name and password, or returns the problem for the person.
    pub(crate) fn check(&self, email: &EmailAddress) -> Result<Checked, String> {
        let name = self.name.parse();
        let name = name.map_err(|error: guestlist::InvalidName| format!("Your name: {error}."))?;
        let password = Password::choose(&self.password, &self.again, email.as_str());
        let password = password.map_err(|weak| weak.to_string())?;
        Ok(Checked { name, password })
    }
}

pub(crate) async fn show(frame: Frame) -> Response {
    form(&frame, "", None).into_response()
}

fn form(frame: &Frame, email: &str, problem: Option<String>) -> impl IntoResponse + use<> {
    let data = json!({ "email": email, "problem": problem });
    frame.page("sign_up", "Sign up", Place::Anywhere, data)
}

/// Sends the confirmation letter. The response is the same if the address already has an account.
pub(crate) async fn ask(
    State(app): State<App>,
    frame: Frame,
    Form(address): Form<Address>,
) -> Result<Response, Problem> {
    let email: EmailAddress = match address.email.trim().parse() {
        Ok(email) => email,
        Err(error) => {
            let problem = Some(format!("This is not an e-mail address: {error}."));
            let form = form(&frame, &address.email, problem);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response());
        }
    };
    confirmation::ask(&app, &email).await?;
    let data = json!({ "email": email });
    Ok(frame
        .page("sign_up_sent", "Check your e-mail", Place::Anywhere, data)
        .into_response())
}

/// Handles the link in the letter: moves the token from the URL into a cookie. It changes nothing else.
pub(crate) async fn open(
    State(app): State<App>,
    Path(token): Path<String>,
    cookies: Cookies,
) -> Redirect {
    SIGN_UP.keep(&app, &cookies, token);
    Redirect::to("/sign-up/finish")
}

pub(crate) async fn show_finish(
    State(app): State<App>,
    frame: Frame,
    cookies: Cookies,
) -> Result<Response, Problem> {
    let email = confirmed(&app, &cookies).await?;
    Ok(finish_form(&frame, &email, "", None).into_response())
}

fn finish_form(
    frame: &Frame,
    email: &EmailAddress,
    name: &str,
    problem: Option<String>,
) -> impl IntoResponse + use<> {
    let data = json!({
        "email": email,
        "name": name,
        "problem": problem,
        "rules": password::RULES,
    });
    frame.page(
        "sign_up_finish",
        "Choose your password",
        Place::Anywhere,
        data,
    )
}

pub(crate) async fn finish(
    State(app): State<App>,
    frame: Frame,
    cookies: Cookies,
    Form(person): Form<Person>,
) -> Result<Response, Problem> {
    let email = confirmed(&app, &cookies).await?;
    let Checked { name, password } = match person.check(&email) {
        Ok(checked) => checked,
        Err(problem) => {
            let form = finish_form(&frame, &email, &person.name, Some(problem));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, form).into_response());
        }
    };
    let password = password.hash().await?;
    let mut tx = app.database.begin().await?;
    let created = Account::create(&mut tx, email.clone(), name, password).await?;
    confirmation::forget(&mut tx, &email).await?;
    tx.commit().await?;
    SIGN_UP.forget(&cookies);
    let Some(account) = created else {
        notice::leave(
            &frame.session,
            "You already have an account. Sign in with it.",
        )
        .await?;
        return Ok(Redirect::to("/sign-in").into_response());
    };
    sessions::sign_in(&app, &frame.session, &account).await?;
    notice::leave(&frame.session, format!("Welcome, {}.", account.name)).await?;
    Ok(Redirect::to("/").into_response())
}

/// Returns the address that the token in this browser's cookie confirms.
async fn confirmed(app: &App, cookies: &Cookies) -> Result<EmailAddress, Problem> {
    let token = SIGN_UP.read(cookies).unwrap_or_default();
    let found = confirmation::address(&mut app.database.acquire().await?, &token).await?;
    found.ok_or_else(|| {
        Problem::Input(
            "This link has expired or was already used. Sign up again to get a new one.".into(),
        )
    })
}

//! A stand-in for your own sign-in. It accepts any address without proof: do not use it in production.

use axum::extract::State;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use sqlx::query_as;
use tower_cookies::cookie::SameSite;
use tower_cookies::{Cookie, Cookies};

use crate::app::App;
use crate::page::{Problem, page};
use crate::sessions::{self, COOKIE, SignedIn};
use crate::users::Account;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/sign-in", get(form).post(sign_in))
        .route("/sign-out", post(sign_out))
}

async fn form() -> Html<String> {
    page(
        "Sign in",
        "<form method=post>
             <input name=email type=email placeholder=Address required>
             <input name=name placeholder=Name required>
             <button>Sign in</button>
         </form>",
    )
}

#[derive(Deserialize)]
struct SignIn {
    email: String,
    name: String,
}

async fn sign_in(
    State(app): State<App>,
    cookies: Cookies,
    Form(form): Form<SignIn>,
) -> Result<Redirect, Problem> {
    let account: Account = query_as(
        "INSERT INTO users (email, email_verified, name) VALUES ($1, TRUE, $2)
         ON CONFLICT (email) DO UPDATE SET name = excluded.name
         RETURNING id, email, email_verified, name",
    )
    .bind(form.email)
    .bind(form.name)
    .fetch_one(&app.pool)
    .await?;
    let session = sessions::begin(&app, &account).await?;
    let cookie = Cookie::build((COOKIE, session))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax); // add .secure(true) for an application on https
    cookies.add(cookie.build());
    Ok(Redirect::to("/"))
}

async fn sign_out(
    State(app): State<App>,
    me: SignedIn,
    cookies: Cookies,
) -> Result<Redirect, Problem> {
    sessions::end(&app, &me).await?;
    cookies.remove(Cookie::build((COOKIE, "")).path("/").build());
    Ok(Redirect::to("/sign-in"))
}

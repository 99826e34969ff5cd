//! The application's own sessions, and recording them with Guestlist.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use guestlist::{Error, OrganizationId, Paging, SessionKey, UserId};
use sha2::{Digest, Sha256};
use sqlx::{SqliteConnection, query, query_as};
use tower_cookies::Cookies;

use crate::app::App;
use crate::page::Problem;
use crate::users::Account;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id))";

/// The name of the session cookie.
pub(crate) const COOKIE: &str = "session";

/// Returns the key under which the session of a cookie is stored: its hash. Somebody who reads the database finds no
/// text that works as a cookie.
fn key_of(cookie: &str) -> Result<SessionKey, Error> {
    let hash: String = Sha256::digest(cookie)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(hash.parse()?)
}

/// Creates a session and records it for every organization of the account. Returns the value of its cookie.
pub(crate) async fn begin(app: &App, account: &Account) -> Result<String, Error> {
    let cookie = format!("{:032x}", rand::random::<u128>());
    let key = key_of(&cookie)?;
    let user = account.user_id()?;
    let mut tx = app.pool.begin_with("BEGIN IMMEDIATE").await?;
    query("INSERT INTO sessions (id, user_id) VALUES ($1, $2)")
        .bind(key.as_str())
        .bind(account.id)
        .execute(&mut *tx)
        .await?;
    for organization in organizations_of(app, &mut tx, &user).await? {
        let recorded = app
            .guestlist
            .record_session(&mut *tx, organization, &user, &key)
            .await;
        match recorded {
            Err(Error::NotFound) => {} // removed a moment ago: nothing to record
            recorded => recorded?,
        }
    }
    tx.commit().await?;
    Ok(cookie)
}

/// Ends a session at sign-out and removes it from Guestlist's records.
pub(crate) async fn end(app: &App, signed_in: &SignedIn) -> Result<(), Error> {
    let user = signed_in.account.user_id()?;
    let mut tx = app.pool.begin_with("BEGIN IMMEDIATE").await?;
    for organization in organizations_of(app, &mut tx, &user).await? {
        app.guestlist
            .forget_session(&mut *tx, organization, &user, &signed_in.session)
            .await?;
    }
    query("DELETE FROM sessions WHERE id = $1")
        .bind(signed_in.session.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Lists the organizations of a user by id. Transactions that change several organizations must use this order.
async fn organizations_of(
    app: &App,
    connection: &mut SqliteConnection,
    user: &UserId,
) -> Result<Vec<OrganizationId>, Error> {
    let paging = Paging::first(Paging::MAX_LIMIT);
    let page = app.guestlist.memberships(connection, user, &paging).await?;
    let ids = page.items.iter().map(|membership| membership.organization);
    Ok(ids.collect())
}

/// The account that sent a request, from the session cookie.
pub(crate) struct SignedIn {
    pub(crate) account: Account,
    pub(crate) session: SessionKey,
}

pub(crate) async fn find(app: &App, cookies: &Cookies) -> Result<Option<SignedIn>, Error> {
    let Some(cookie) = cookies.get(COOKIE) else {
        return Ok(None);
    };
    let session = key_of(cookie.value())?;
    let account: Option<Account> = query_as(
        "SELECT users.id, email, email_verified, name
         FROM sessions JOIN users ON users.id = user_id WHERE sessions.id = $1",
    )
    .bind(session.as_str())
    .fetch_optional(&app.pool)
    .await?;
    Ok(account.map(|account| SignedIn { account, session }))
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let cookies = Cookies::from_request_parts(parts, app)
            .await
            .map_err(IntoResponse::into_response)?;
        let found = find(app, &cookies).await;
        let found = found.map_err(|error| Problem::from(error).into_response())?;
        found.ok_or_else(|| Redirect::to("/sign-in").into_response())
    }
}

//! CSRF protection: every form carries a token that is bound to the session.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use tower_sessions::Session;

use crate::member::signed_out;
use crate::problem::Problem;

/// The name of the form field and of the session entry.
const TOKEN: &str = "csrf";

/// The maximum size of a form, in bytes.
const LARGEST: usize = 64 * 1024;

/// Returns the token of a session, creating it on first use.
pub(crate) async fn token(session: &Session) -> Result<String, Problem> {
    if let Some(token) = session.get(TOKEN).await? {
        return Ok(token);
    }
    let token = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    session.insert(TOKEN, &token).await?;
    Ok(token)
}

/// Rejects a request that changes something unless it carries the token of its session. This layer wraps every
/// route, so no route can omit the check.
pub(crate) async fn protect(session: Session, request: Request, next: Next) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return Problem::TooLarge.into_response();
    };
    match check(&session, &body).await {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err(problem) => problem.into_response(),
    }
}

/// Rejects a form without the token of its session. If the session has ended, as after a removal, there is no
/// token to compare, and the person is asked to sign in.
async fn check(session: &Session, body: &Bytes) -> Result<(), Problem> {
    let Some(expected) = session.get::<String>(TOKEN).await? else {
        return Err(signed_out(session).await);
    };
    let mut fields = form_urlencoded::parse(body);
    let sent = fields.find(|(name, _)| name == TOKEN);
    if sent.is_some_and(|(_, token)| token.as_bytes().ct_eq(expected.as_bytes()).into()) {
        Ok(())
    } else {
        Err(Problem::Forged)
    }
}

//! Forms are our own: each carries a token that only the session it was made for knows.

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

/// The field of a form, and the place in a session.
const TOKEN: &str = "csrf";

/// The largest form, in bytes.
const LARGEST: usize = 64 * 1024;

/// The token that forms of this session carry.
pub(crate) async fn token(session: &Session) -> Result<String, Problem> {
    if let Some(token) = session.get(TOKEN).await? {
        return Ok(token);
    }
    let token = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    session.insert(TOKEN, &token).await?;
    Ok(token)
}

/// Lets a request through that changes something only with the token of its session. It stands before
/// every route, so no route can forget to ask.
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

/// Refuses a form without the token of its session. Where the session itself is over, as that of a
/// removed member is, there is none to compare with, and nobody is signed in.
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

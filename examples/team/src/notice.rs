//! What the next page says about what was just done.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_sessions::Session;

use crate::problem::Problem;

const NOTICE: &str = "notice";

/// Has the next page say `text`.
pub(crate) async fn leave(session: &Session, text: impl Into<String>) -> Result<(), Problem> {
    Ok(session.insert(NOTICE, text.into()).await?)
}

/// What was left to say.
pub(crate) async fn left(session: &Session) -> Result<Option<String>, Problem> {
    Ok(session.get(NOTICE).await?)
}

/// In the extensions of an answer: its page says what was left.
#[derive(Clone)]
pub(crate) struct Said;

/// Forgets a notice once a page said it. Whoever reads it and then leads elsewhere leaves it to the page
/// that comes of that.
pub(crate) async fn say_once(session: Session, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.extensions().get::<Said>().is_none() {
        return response;
    }
    match session.remove::<String>(NOTICE).await {
        Ok(_) => response,
        Err(error) => Problem::from(error).into_response(),
    }
}

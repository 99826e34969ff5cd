//! Notices: one-time messages that the next page shows, such as "Bob was removed".

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_sessions::Session;

use crate::problem::Problem;

const NOTICE: &str = "notice";

/// Stores a notice for the next page.
pub(crate) async fn leave(session: &Session, text: impl Into<String>) -> Result<(), Problem> {
    Ok(session.insert(NOTICE, text.into()).await?)
}

/// Returns the stored notice.
pub(crate) async fn stored(session: &Session) -> Result<Option<String>, Problem> {
    Ok(session.get(NOTICE).await?)
}

/// Marks a response, in its extensions, whose page shows the notice.
#[derive(Clone)]
pub(crate) struct Shown;

/// Removes the notice from the session after a page has shown it. A response that only redirects keeps the notice
/// for the page after it.
pub(crate) async fn show_once(session: Session, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.extensions().get::<Shown>().is_none() {
        return response;
    }
    match session.remove::<String>(NOTICE).await {
        Ok(_) => response,
        Err(error) => Problem::from(error).into_response(),
    }
}

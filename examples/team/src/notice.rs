//! What the next page says about what was just done.

use tower_sessions::Session;

use crate::problem::Problem;

const NOTICE: &str = "notice";

/// Has the next page say `text`.
pub(crate) async fn leave(session: &Session, text: impl Into<String>) -> Result<(), Problem> {
    Ok(session.insert(NOTICE, text.into()).await?)
}

/// What was left to say; it is said once.
pub(crate) async fn take(session: &Session) -> Result<Option<String>, Problem> {
    // Removing what is not there would count as a change of the session.
    if session.get::<String>(NOTICE).await?.is_none() {
        return Ok(None);
    }
    Ok(session.remove(NOTICE).await?)
}

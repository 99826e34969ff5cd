//! Problems: the reasons that a request failed, as pages.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use guestlist::{Error, Fault};
use serde_json::{Value as Json, json};
use tower_sessions::Session;

use crate::app::App;
use crate::attempts::TooOften;
use crate::page::{self, Frame, Page, Place};
use crate::{refusal, sessions};

/// A reason that a request failed, shown as a page that says what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The request comes without a signed-in account.
    #[error("not signed in")]
    SignedOut,
    /// The account is not a member of the organization, or the organization does not exist. The page does not reveal
    /// which.
    #[error("no access to this organization")]
    NoAccess,
    /// The page is only for members that manage the team.
    #[error("the page is only for members that manage the team")]
    ForManagers,
    /// There is no such page.
    #[error("no such page")]
    NotFound,
    /// The form lacks the CSRF token of its session, which is still valid.
    #[error("the form has no valid CSRF token")]
    Forged,
    /// The form is larger than any of ours.
    #[error("the form is too large")]
    TooLarge,
    /// Passwords were tried too often.
    #[error("too many password attempts")]
    TooOften(TooOften),
    /// The input is not valid.
    #[error("{0}")]
    Input(String),
    /// The request took too long and was cancelled.
    #[error("the request took too long")]
    TimedOut,
    /// Guestlist refused the operation or failed.
    #[error(transparent)]
    Guestlist(#[from] Error),
    /// The application failed.
    #[error(transparent)]
    Fault(#[from] anyhow::Error),
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::Guestlist(error.into())
    }
}

impl From<tower_sessions::session::Error> for Problem {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<TooOften> for Problem {
    fn from(too_often: TooOften) -> Self {
        Self::TooOften(too_often)
    }
}

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::NoAccess | Self::ForManagers | Self::Forged => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::Input(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Guestlist(error) => status_of(error),
            Self::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the time to wait before the next attempt.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooOften(TooOften { retry_after })
            | Self::Guestlist(Error::Throttled { retry_after, .. }) => Some(*retry_after),
            _ => None,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NoAccess => "No access",
            Self::ForManagers => "Not for your role",
            Self::NotFound => "No such page",
            Self::Forged => "Please try again",
            Self::TooOften(_) => "Please wait",
            Self::TimedOut => "This took too long",
            Self::Fault(_) => "Something went wrong",
            Self::Guestlist(error) if error.fault() == Fault::Infrastructure => {
                "Something went wrong"
            }
            _ => "That was not done",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::NoAccess => {
                "You have no access to this organization. If you had access before, you may have \
                 been removed or suspended. Ask one of its owners."
                    .to_owned()
            }
            Self::ForManagers => {
                "Your role may not see this page. It is for members that manage the team. Ask an \
                 owner of the organization."
                    .to_owned()
            }
            Self::NotFound => "There is no page at this address.".to_owned(),
            Self::Forged => {
                "The form was too old, or it did not come from this application. Go back, \
                 reload the page and send the form again."
                    .to_owned()
            }
            Self::TooLarge => {
                "The form is too large. Go back and send it in several parts.".to_owned()
            }
            Self::TooOften(TooOften { retry_after }) => format!(
                "There were too many attempts to sign in to this account or from your network. Try again in {}.",
                refusal::soon(*retry_after)
            ),
            Self::TimedOut => {
                "Our database did not respond in time. Reload the page in a moment, and check \
                 whether your change was made before you repeat it."
                    .to_owned()
            }
            Self::Guestlist(error) => refusal::words(error),
            Self::Input(words) => words.clone(),
            Self::SignedOut | Self::Fault(_) => {
                "Something failed on our side. Nothing was changed. Please try again in a moment."
                    .to_owned()
            }
        }
    }
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::NotFound => StatusCode::NOT_FOUND,
        Error::Forbidden { .. } | Error::WrongAccount { .. } | Error::UnverifiedEmail => {
            StatusCode::FORBIDDEN
        }
        Error::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Conflict(_) => StatusCode::CONFLICT,
        error => match error.fault() {
            Fault::Rule => StatusCode::CONFLICT,
            Fault::Input => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Infrastructure => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        if matches!(self, Self::SignedOut) {
            return Redirect::to("/sign-in").into_response();
        }
        if status.is_server_error() {
            tracing::error!(problem = %self, "a request failed: {self}");
        }
        let message = Message {
            status,
            retry_after: self.retry_after(),
            title: self.title(),
            words: self.words(),
        };
        message.response()
    }
}

/// The message of a problem. A response without a frame carries it in its extensions, so that [`frame`] can render it
/// again within the frame.
#[derive(Clone)]
struct Message {
    status: StatusCode,
    retry_after: Option<Duration>,
    title: &'static str,
    words: String,
}

impl Message {
    /// The message for a URL or a form that none of our pages produces.
    fn malformed(status: StatusCode) -> Self {
        Self {
            status,
            retry_after: None,
            title: "The request was not understood",
            words: "The request is not one that our pages send. Go back, reload the page and try again."
                .to_owned(),
        }
    }

    /// Renders the response without a frame, with the message in its extensions.
    fn response(self) -> Response {
        let mut response = self.with_page(page::bare("problem", self.data()));
        if !self.status.is_server_error() {
            response.extensions_mut().insert(self);
        }
        response
    }

    fn data(&self) -> Json {
        json!({ "title": self.title, "words": self.words })
    }

    fn with_page(&self, page: Page) -> Response {
        let mut response = (self.status, page).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().max(1);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Returns true if axum itself rejected a URL or a form. It does so with a line of plain text.
fn is_from_axum(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    response.status().is_client_error() && kind.is_some_and(|kind| kind == PLAIN)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// Renders a problem within the frame for visitors that are signed in, so that they can navigate or sign out.
/// Server errors keep the page without a frame, because building the frame may fail in the same way.
pub(crate) async fn frame(
    State(app): State<App>,
    session: Session,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if is_from_axum(&response) {
        response = Message::malformed(response.status()).response();
    }
    let Some(message) = response.extensions_mut().remove::<Message>() else {
        return response;
    };
    if !matches!(sessions::account_id(&session).await, Ok(Some(_))) {
        return response;
    }
    match Frame::of(&app, session).await {
        Ok(frame) => {
            message.with_page(frame.page("problem", message.title, Place::Anywhere, message.data()))
        }
        Err(_) => response,
    }
}

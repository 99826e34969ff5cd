//! What a request gets instead of what it asked for.

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

/// Why a request was not done. Each is shown as a page that says what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    SignedOut,
    /// Who is signed in is no member of the organization, or there is none: nobody is told which.
    #[error("no access to this organization")]
    NoAccess,
    /// The page is for those who manage the team.
    #[error("a page for those who manage the team")]
    ForManagers,
    /// There is no such page.
    #[error("no such page")]
    NotFound,
    /// The form lacks the token of its session, which is alive.
    #[error("a form without its token")]
    Forged,
    /// A form holds more than any of ours.
    #[error("a form that is too large")]
    TooLarge,
    /// Passwords were tried too often.
    #[error("passwords were tried too often")]
    TooOften(TooOften),
    /// What was typed cannot be worked with.
    #[error("{0}")]
    Input(String),
    /// It took too long, and was given up.
    #[error("the time for a request is over")]
    Late,
    /// Guestlist refused or failed.
    #[error(transparent)]
    Guestlist(#[from] Error),
    /// Something of ours failed.
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
            Self::Late => StatusCode::SERVICE_UNAVAILABLE,
            Self::Input(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Guestlist(error) => status_of(error),
            Self::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// How long to wait before it can be done.
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
            Self::Late => "This takes too long",
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
                "You have no access to this organization. If you had, somebody removed or \
                 suspended you; ask one of its owners."
                    .to_owned()
            }
            Self::ForManagers => {
                "Your role may not see this page, which is for those who manage the team. Ask an \
                 owner of the organization."
                    .to_owned()
            }
            Self::NotFound => "There is no page at this address.".to_owned(),
            Self::Forged => {
                "The form was too old, or did not come from this application. Go back, \
                 load the page again and send the form once more."
                    .to_owned()
            }
            Self::TooLarge => {
                "The form holds too much. Go back, and send it in several parts.".to_owned()
            }
            Self::TooOften(TooOften { retry_after }) => format!(
                "Too many passwords were tried for this address, or from where you are. Try again in {}.",
                refusal::soon(*retry_after)
            ),
            Self::Late => {
                "The fault is ours: the database does not answer in time. Load the page again \
                 in a moment, and look whether it was done before you repeat it."
                    .to_owned()
            }
            Self::Guestlist(error) => refusal::words(error),
            Self::Input(words) => words.clone(),
            Self::SignedOut | Self::Fault(_) => {
                "The fault is ours. Nothing was changed; please try again in a moment.".to_owned()
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
        let told = Told {
            status,
            retry_after: self.retry_after(),
            title: self.title(),
            words: self.words(),
        };
        told.response()
    }
}

/// What is told about a problem; in the extensions of an answer that tells it without a frame.
#[derive(Clone)]
struct Told {
    status: StatusCode,
    retry_after: Option<Duration>,
    title: &'static str,
    words: String,
}

impl Told {
    /// An address or a form that none of our pages leads to.
    fn malformed(status: StatusCode) -> Self {
        Self {
            status,
            retry_after: None,
            title: "That was not understood",
            words: "This is not as our own pages send it. Go back, load the page again and try once more."
                .to_owned(),
        }
    }

    /// The answer without a frame, which remembers what it tells.
    fn response(self) -> Response {
        let mut response = self.on(page::bare("problem", self.facts()));
        if !self.status.is_server_error() {
            response.extensions_mut().insert(self);
        }
        response
    }

    fn facts(&self) -> Json {
        json!({ "title": self.title, "words": self.words })
    }

    fn on(&self, page: Page) -> Response {
        let mut response = (self.status, page).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().max(1);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Whether axum refused an address or a form, which it does in a line of plain text.
fn is_of_axum(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    response.status().is_client_error() && kind.is_some_and(|kind| kind == PLAIN)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// Tells who is signed in of a problem in their own frame, from which they go elsewhere or sign out.
/// Faults of ours are told without one, since whatever failed may fail again.
pub(crate) async fn frame(
    State(app): State<App>,
    session: Session,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if is_of_axum(&response) {
        response = Told::malformed(response.status()).response();
    }
    let Some(told) = response.extensions_mut().remove::<Told>() else {
        return response;
    };
    if !matches!(sessions::account_id(&session).await, Ok(Some(_))) {
        return response;
    }
    match Frame::of(&app, session).await {
        Ok(frame) => told.on(frame.page("problem", told.title, Place::Anywhere, told.facts())),
        Err(_) => response,
    }
}

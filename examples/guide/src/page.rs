//! As much HTML as the pages need, and refusals as pages.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use guestlist::{Error, Fault};

/// Without a referrer, so that the link of an invitation does not leave with the next click.
pub(crate) fn page(title: &str, body: &str) -> Html<String> {
    let title = escape(title);
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=referrer content=no-referrer>
         <title>{title}</title><h1>{title}</h1>{body}"
    ))
}

pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Why a request was not done.
pub(crate) struct Problem(Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, words) = match (&self.0, self.0.fault()) {
            (Error::NotFound, _) => (StatusCode::NOT_FOUND, "there is nothing here".to_owned()),
            (Error::LastOwner { .. }, _) => (
                StatusCode::CONFLICT,
                "a team keeps at least one owner; make somebody else one first".to_owned(),
            ),
            (error, Fault::Rule) => (StatusCode::CONFLICT, error.to_string()),
            (error, Fault::Input) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            (error, Fault::Infrastructure) => {
                eprintln!("{error}");
                let words = "the fault is ours; please try again in a moment".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, words)
            }
        };
        let body = format!("<p>{}</p>", escape(&words));
        (status, page("This was not done", &body)).into_response()
    }
}

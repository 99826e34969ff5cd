//! Minimal HTML pages, and errors as pages.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use guestlist::{Error, Fault};

/// Renders a page. The referrer is disabled, so that the next click does not reveal an invitation link.
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

/// An error that is shown as a page.
pub(crate) struct Problem(Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, words) = match (&self.0, self.0.fault()) {
            (Error::NotFound, _) => (StatusCode::NOT_FOUND, "this page does not exist".to_owned()),
            (Error::LastOwner { .. }, _) => (
                StatusCode::CONFLICT,
                "a team needs at least one owner; make another member an owner first".to_owned(),
            ),
            (error, Fault::Rule) => (StatusCode::CONFLICT, error.to_string()),
            (error, Fault::Input) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            (error, Fault::Infrastructure) => {
                eprintln!("{error}");
                let words = "something failed on our side; please try again in a moment".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, words)
            }
        };
        let body = format!("<p>{}</p>", escape(&words));
        (status, page("That was not done", &body)).into_response()
    }
}

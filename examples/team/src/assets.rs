//! The style sheet, scripts and icon, compiled into the program.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

use crate::app::App;

macro_rules! asset {
    ($file:literal, $kind:literal) => {
        get(|| async {
            const KIND: &str = concat!($kind, "; charset=utf-8");
            let headers = [(CONTENT_TYPE, KIND), (CACHE_CONTROL, "max-age=3600")];
            (headers, include_str!(concat!("../assets/", $file)))
        })
    };
}

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/assets/icon.svg", asset!("icon.svg", "image/svg+xml"))
        .route("/assets/style.css", asset!("style.css", "text/css"))
        .route(
            "/assets/htmx.min.js",
            asset!("htmx.min.js", "text/javascript"),
        )
        .route("/assets/team.js", asset!("team.js", "text/javascript"))
}

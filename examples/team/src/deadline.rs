//! The time that a request may take.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_http::timeout::TimeoutLayer;

use crate::problem::Problem;

/// Longer than anything here takes where the database answers, and shorter than people wait, or the routers of
/// platforms, most of which give up after 30 seconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Gives a request up. What its transaction did not commit is rolled back.
pub(crate) fn layer() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LIMIT)
}

/// Puts a page into the empty answer of a request that was given up.
pub(crate) async fn explain(response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        Problem::Late.into_response()
    } else {
        response
    }
}

//! The time limit for requests.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_http::timeout::TimeoutLayer;

use crate::problem::Problem;

/// Longer than any request takes while the database responds, and shorter than people wait. Most hosting platforms'
/// routers give up after 30 seconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Cancels a request after the time limit. Its open transaction is rolled back.
pub(crate) fn layer() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, LIMIT)
}

/// Replaces the empty response of a cancelled request with a page.
pub(crate) async fn explain(response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        Problem::TimedOut.into_response()
    } else {
        response
    }
}

//! What every answer tells the browser about itself.

use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use tower_http::set_header::SetResponseHeaderLayer;

/// Scripts and styles are files of our own, nothing is inline, and nobody frames us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers that an answer does not set itself.
const ALL: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The address of a link's first page holds its token.
    (REFERRER_POLICY, "no-referrer"),
    // A page is one person's, as of one moment.
    (CACHE_CONTROL, "no-store"),
];

pub(crate) fn layers() -> [SetResponseHeaderLayer<HeaderValue>; 5] {
    ALL.map(|(name, value)| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    })
}

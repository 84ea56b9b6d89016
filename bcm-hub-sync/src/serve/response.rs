//! The answers that only a hub gives; the rest is what every server here answers with.

use hyper::{Response, StatusCode};

pub(super) use bcm_core::serve::response::*;

use super::body::Content;
use super::pages;
use super::rendered::JSON;

/// What a hub without accounts says to everything that needs one.
const READ_ONLY: &str = "{\"message\":\"readonly mode\",\"status\":\"error\"}\n";

/// 404 as a page: a helpful one for people, the hubs' own for tools.
pub(super) fn not_found(asked: &Asked<'_>) -> Response<Content> {
    bcm_core::serve::response::not_found(asked, || pages::not_found(asked.path))
}

/// An error that is not the client's: a page for people, JSON for tools.
pub(super) fn unavailable(
    asked: &Asked<'_>,
    status: StatusCode,
    message: &str,
) -> Response<Content> {
    failed(asked, status, message, || pages::failure(message))
}

/// 400: what only a hub with accounts does.
pub(super) fn read_only(asked: &Asked<'_>) -> Response<Content> {
    text(start(StatusCode::BAD_REQUEST), asked, JSON, READ_ONLY)
}

//! Why nothing was published, as the other end is told.

use hyper::{Response, StatusCode};

use super::super::body::Content;
use super::super::response::{self, Asked};
use super::super::workers::Unfinished;
use crate::publishing::PublishingError;
use crate::publishing::archive::ArchiveError;
use bcm_core::cause::chain;

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Something of this machine's failed; what exactly names its paths, and is for its log only.
    pub(super) fn inner(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = chain(error), "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what)
    }

    pub(super) fn into_response(self, asked: &Asked<'_>) -> Response<Content> {
        let mut response = response::json_error(asked, self.status, &self.message);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response::set(&mut response, hyper::header::RETRY_AFTER, "5");
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response::set(&mut response, hyper::header::WWW_AUTHENTICATE, "Bearer");
        }
        // What is left of a body was not read.
        response::and_close(response)
    }
}

impl From<Unfinished> for Refusal {
    fn from(error: Unfinished) -> Self {
        Self::inner("the work was not finished", &error)
    }
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        match error.is_refusal() {
            true => Self::new(StatusCode::UNPROCESSABLE_ENTITY, chain(&error)),
            false => Self::inner("the archive could not be unpacked", &error),
        }
    }
}

impl From<PublishingError> for Refusal {
    fn from(error: PublishingError) -> Self {
        if error.is_busy() {
            let text = "somebody else writes to this hub just now; try again in a while";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, text);
        }
        if error.is_full() {
            tracing::error!(error = chain(&error), "not published");
            let text = "this hub has no room left";
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, text);
        }
        let status = match &error {
            PublishingError::NotFound(_) | PublishingError::Dangling(_) => StatusCode::NOT_FOUND,
            PublishingError::Exists { .. }
            | PublishingError::Needed { .. }
            | PublishingError::NotEmpty { .. } => StatusCode::CONFLICT,
            PublishingError::WrongKind { .. } | PublishingError::Name { .. } => {
                StatusCode::BAD_REQUEST
            }
            PublishingError::Refused { .. } | PublishingError::BlocksMissing { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            PublishingError::Mirror { .. } => {
                return Self::bad("readonly mode");
            }
            _ => return Self::inner("it could not be published", &error),
        };
        Self::new(status, error.to_string())
    }
}

//! Why a request to a hub fails.

use std::time::Duration;

use bcm_core::cause::chain;
use bcm_core::http::{HttpError, HttpErrorKind, StatusCode};

use super::ParseError;

/// A request to an upstream hub failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The request failed, or its status was not success.
    #[error("the request failed")]
    Http(#[from] HttpError),
    /// The answer is not what it should be.
    #[error("{url}")]
    Parse {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        source: ParseError,
    },
    /// The answer did not end in time.
    #[error("{url}: the listing was not complete after {} s", waited.as_secs())]
    Late {
        /// What was asked.
        url: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The hub has failed so often in a row that it is not asked again in this sync.
    #[error("{hub} failed {failures} times in a row and is not asked any more")]
    GivenUp {
        /// The hub.
        hub: String,
        /// How often it failed.
        failures: u32,
    },
}

impl UpstreamError {
    /// Whether another try, or another hub, may do better.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Late { .. } => true,
            Self::Parse { .. } | Self::GivenUp { .. } => false,
        }
    }

    /// Whether the hub could not be reached or did not answer to the end, whatever was asked.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Http(error) => matches!(
                error.kind,
                HttpErrorKind::Connect
                    | HttpErrorKind::Broken
                    | HttpErrorKind::Silent { .. }
                    | HttpErrorKind::TooSlow { .. }
            ),
            Self::Late { .. } | Self::GivenUp { .. } => true,
            Self::Parse { .. } => false,
        }
    }

    /// Whether the hub says that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Http(error)
            if matches!(error.status(), Some(StatusCode::NOT_FOUND | StatusCode::GONE)))
    }

    /// This error and all that is below it, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        // "The request failed" says nothing that its cause does not say better.
        match self {
            Self::Http(error) => chain(error),
            other => chain(other),
        }
    }
}

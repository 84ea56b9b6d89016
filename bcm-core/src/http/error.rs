//! What can go wrong with a request.

use std::time::Duration;

use hyper::StatusCode;
use url::Url;

use crate::redact;

/// A request failed: which one, and how.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {kind}")]
pub struct HttpError {
    /// The URL that was asked, without its password.
    pub url: String,
    /// What went wrong.
    pub kind: HttpErrorKind,
    /// What is below it, where there is something.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The ways in which a request can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// TLS could not be set up.
    #[error("could not set up TLS ({0})")]
    Setup(String),
    /// The URL is not HTTP.
    #[error("{0:?} is not a scheme that is fetched")]
    Scheme(String),
    /// The request itself is not legal.
    #[error("not a legal request ({0})")]
    Request(String),
    /// No connection to the server.
    #[error("could not connect")]
    Connect,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The server did not say anything in time.
    #[error("no answer for {:.0} s (limit: {setting})", waited.as_secs_f64())]
    Silent {
        /// How long it was waited for.
        waited: Duration,
        /// The option of [`HttpOptions`](super::HttpOptions) that sets the limit.
        setting: &'static str,
    },
    /// The server sends too slowly.
    #[error("the server sends only {rate} bytes/s (limit: slowest)")]
    TooSlow {
        /// Bytes per second over the last interval.
        rate: u64,
    },
    /// A redirect that is not followed.
    #[error("redirects to {target:?}, which is not followed: {why}")]
    Redirect {
        /// Where it leads.
        target: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// A redirect after a redirect after a redirect.
    #[error("more than {0} redirects in a row")]
    TooManyRedirects(u32),
    /// The server answered, but not with success.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The body is larger than the caller takes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// The body is shorter than its header said.
    #[error("the answer ended after {got} of {expected} bytes")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes that `Content-Length` promised.
        expected: u64,
    },
    /// What came could not be written where the caller wanted it.
    #[error("could not write what was downloaded")]
    Write,
}

impl HttpError {
    pub(super) fn new(url: &Url, kind: HttpErrorKind) -> Self {
        Self {
            url: redact::url(url.as_str()),
            kind,
            source: None,
        }
    }

    pub(super) fn caused(
        url: &Url,
        kind: HttpErrorKind,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Some(Box::new(source)),
            ..Self::new(url, kind)
        }
    }

    pub(super) fn setup(error: &rustls::Error) -> Self {
        Self {
            url: "HTTPS".to_owned(),
            kind: HttpErrorKind::Setup(error.to_string()),
            source: None,
        }
    }

    pub(super) fn transport(url: &Url, error: hyper_util::client::legacy::Error) -> Self {
        let kind = if error.is_connect() {
            HttpErrorKind::Connect
        } else {
            HttpErrorKind::Broken
        };
        // The client's own words ("client error (Connect)") add nothing to ours.
        match std::error::Error::source(&error).map(ToString::to_string) {
            Some(text) => Self::caused(url, kind, Plain(innermost(&error, text))),
            None => Self::caused(url, kind, error),
        }
    }

    /// Whether another try, or another server, may do better: nothing was wrong with the request.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            HttpErrorKind::Connect
            | HttpErrorKind::Broken
            | HttpErrorKind::Silent { .. }
            | HttpErrorKind::TooSlow { .. }
            | HttpErrorKind::Short { .. } => true,
            HttpErrorKind::Status(status) => {
                status.is_server_error()
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || *status == StatusCode::REQUEST_TIMEOUT
            }
            _ => false,
        }
    }

    /// The status, where the server answered with one that is not success.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.kind {
            HttpErrorKind::Status(status) => Some(status),
            _ => None,
        }
    }
}

/// The text of the last error in the chain, which is the one that says something ("Connection
/// refused", "failed to lookup address information").
fn innermost(error: &dyn std::error::Error, mut text: String) -> String {
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Plain(String);

//! Puts answers together: headers that every answer has, conditions, encodings, errors.

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::response::Builder;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::body::Content;
use super::condition::{self, Decision, Validators};
use super::json;
use super::pages;
use super::rendered::{HTML, JSON, Rendered, accepts_gzip};

/// The part of a request that answers depend on.
#[derive(Debug)]
pub struct Asked<'a> {
    /// `GET`, `HEAD`, or one that is refused.
    pub method: &'a Method,
    /// As it came.
    pub path: &'a str,
    /// What is after the `?`.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    /// What answers depend on in `request`.
    #[must_use]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        let uri = request.uri();
        Self {
            method: request.method(),
            path: uri.path(),
            query: uri.query(),
            headers: request.headers(),
        }
    }

    /// Whether a person's browser asks.
    pub fn wants_page(&self) -> bool {
        self.headers
            .get_all(ACCEPT)
            .iter()
            .any(|value| value.as_bytes().windows(9).any(|part| part == b"text/html"))
    }

    /// Whether gzip is welcome.
    pub fn wants_gzip(&self) -> bool {
        accepts_gzip(self.headers)
    }
}

/// The minimal page that the upstream servers answer with where there is nothing. Tools see the
/// same bytes.
const PLAIN_NOT_FOUND: &str = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n\
    <h1>Not Found</h1>\n<p>The requested URL was not found on the server. If you entered the URL \
    manually please check your spelling and try again.</p>\n";

/// Starts an answer with the headers that all of them have. Nothing here may be used from a cache
/// without asking again, for any name can lead to another content after the next sync.
pub fn start(status: StatusCode) -> Builder {
    Response::builder()
        .status(status)
        .header(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))
        .header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

/// Ends an answer. Every header's value that is put into a [`Builder`] here is of our own making
/// or has been cleaned, so this does not fail; if it did, the client would see a plain 500.
pub fn finish(builder: Builder, content: Content) -> Response<Content> {
    builder.body(content).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be put together");
        let mut response = Response::new(Content::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A 200 (or 304, or 412) with something rendered.
pub fn rendered(asked: &Asked<'_>, rendered: &Rendered) -> Response<Content> {
    let gzip = rendered.gzip.as_ref().filter(|_| asked.wants_gzip());
    let etag = |suffix: &str| format!("\"{}{suffix}\"", rendered.tag);
    let validators = Validators {
        etag: etag(if gzip.is_some() { "-gz" } else { "" }),
        modified: None,
    };
    let tagged = |status| {
        let mut builder = start(status)
            .header(ETAG, &validators.etag)
            .header(VARY, vary(rendered.content_type));
        if rendered.content_type == HTML {
            builder = page_headers(builder);
        }
        builder
    };
    match condition::conditions(asked.headers, &validators) {
        Decision::NotModified => finish(tagged(StatusCode::NOT_MODIFIED), Content::empty()),
        Decision::PreconditionFailed => {
            finish(tagged(StatusCode::PRECONDITION_FAILED), Content::empty())
        }
        _ => {
            let mut builder = tagged(StatusCode::OK);
            if gzip.is_some() {
                builder = builder.header(CONTENT_ENCODING, "gzip");
            }
            let bytes = gzip.unwrap_or(&rendered.plain).clone();
            text(builder, asked, rendered.content_type, bytes)
        }
    }
}

fn vary(content_type: &str) -> &'static str {
    if content_type == HTML {
        "Accept-Encoding, Accept"
    } else {
        "Accept-Encoding"
    }
}

/// Adds what every page has: no script, no frame, nothing from elsewhere.
pub fn page_headers(builder: Builder) -> Builder {
    builder
        .header(CONTENT_SECURITY_POLICY, pages::content_security_policy())
        .header(REFERRER_POLICY, "same-origin")
}

/// An answer that is text.
pub fn text(
    builder: Builder,
    asked: &Asked<'_>,
    content_type: &str,
    bytes: impl Into<Bytes>,
) -> Response<Content> {
    let bytes = bytes.into();
    let builder = builder
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, bytes.len());
    let content = if asked.method == Method::HEAD {
        Content::empty()
    } else {
        Content::Bytes(bytes)
    };
    finish(builder, content)
}

/// A short text, such as a checksum.
pub fn plain_text(asked: &Asked<'_>, content: String) -> Response<Content> {
    text(start(StatusCode::OK), asked, "text/plain", content)
}

/// `{"status": "error", "message": …}` as upstream writes it.
pub fn json_error(asked: &Asked<'_>, status: StatusCode, message: &str) -> Response<Content> {
    #[derive(Serialize)]
    struct Error<'a> {
        status: &'static str,
        message: &'a str,
    }
    let value = Error {
        status: "error",
        message,
    };
    let bytes = json::to_bytes(&value).unwrap_or_default();
    text(start(status), asked, JSON, bytes)
}

/// JSON whose status is not 200.
pub fn json_status(asked: &Asked<'_>, status: StatusCode, bytes: Vec<u8>) -> Response<Content> {
    text(start(status), asked, JSON, bytes)
}

/// 404 as a page: a helpful one for people, upstream's own for tools.
pub fn not_found(asked: &Asked<'_>, page: impl FnOnce() -> String) -> Response<Content> {
    let mut builder = start(StatusCode::NOT_FOUND).header(VARY, "Accept");
    if asked.wants_page() {
        builder = page_headers(builder);
        text(builder, asked, HTML, page())
    } else {
        text(builder, asked, HTML, PLAIN_NOT_FOUND)
    }
}

/// An error: a page for people, JSON for tools.
pub fn failed(
    asked: &Asked<'_>,
    status: StatusCode,
    message: &str,
    page: impl FnOnce() -> String,
) -> Response<Content> {
    let mut response = if asked.wants_page() {
        let builder = page_headers(start(status).header(VARY, "Accept"));
        text(builder, asked, HTML, page())
    } else {
        json_error(asked, status, message)
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        set(&mut response, RETRY_AFTER, "1");
    }
    response
}

/// 405 with the methods that there are, such as `GET, HEAD`.
pub fn method_not_allowed(asked: &Asked<'_>, allowed: &'static str) -> Response<Content> {
    let message = "this path only answers who reads it: GET and HEAD";
    let mut response = json_error(asked, StatusCode::METHOD_NOT_ALLOWED, message);
    set(&mut response, ALLOW, allowed);
    response
}

/// 413: no request has a body here.
pub fn body_refused(asked: &Asked<'_>) -> Response<Content> {
    json_error(
        asked,
        StatusCode::PAYLOAD_TOO_LARGE,
        "requests have no body here",
    )
}

/// Ends the connection after this answer.
pub fn and_close(mut response: Response<Content>) -> Response<Content> {
    set(&mut response, CONNECTION, "close");
    response
}

/// Sets a header.
pub fn set(response: &mut Response<Content>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

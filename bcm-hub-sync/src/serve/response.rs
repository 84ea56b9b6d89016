//! Puts answers together: headers that every answer has, conditions, encodings, errors.

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::response::Builder;
use hyper::{Method, Response, StatusCode};

use super::body::Content;
use super::condition::{self, Decision, Validators};
use super::json::{self, Json};
use super::pages;
use super::rendered::{HTML, JSON, Rendered, accepts_gzip};

/// The part of a request that answers depend on.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Whether a person's browser asks.
    pub(super) fn wants_page(&self) -> bool {
        self.headers
            .get_all(ACCEPT)
            .iter()
            .any(|value| value.as_bytes().windows(9).any(|part| part == b"text/html"))
    }

    /// Whether gzip is welcome.
    pub(super) fn wants_gzip(&self) -> bool {
        accepts_gzip(self.headers)
    }
}

/// The minimal page that hubs answer with where there is nothing. Tools see the same bytes.
const PLAIN_NOT_FOUND: &str = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n\
    <h1>Not Found</h1>\n<p>The requested URL was not found on the server. If you entered the URL \
    manually please check your spelling and try again.</p>\n";

/// What a hub without accounts says to everything that needs one.
const READ_ONLY: &str = "{\"message\":\"readonly mode\",\"status\":\"error\"}\n";

/// Starts an answer with the headers that all of them have. Nothing here may be used from a cache
/// without asking again, for any name can lead to another content after the next sync.
pub(super) fn start(status: StatusCode) -> Builder {
    Response::builder()
        .status(status)
        .header(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))
        .header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

/// Ends an answer. Every header's value that is put into a [`Builder`] here is of our own making
/// or has been cleaned, so this does not fail; if it did, the client would see a plain 500.
pub(super) fn finish(builder: Builder, content: Content) -> Response<Content> {
    builder.body(content).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be put together");
        let mut response = Response::new(Content::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A 200 (or 304, or 412) with something rendered.
pub(super) fn rendered(asked: &Asked<'_>, rendered: &Rendered) -> Response<Content> {
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
fn page_headers(builder: Builder) -> Builder {
    builder
        .header(CONTENT_SECURITY_POLICY, pages::content_security_policy())
        .header(REFERRER_POLICY, "same-origin")
}

fn text(
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
pub(super) fn plain_text(asked: &Asked<'_>, content: String) -> Response<Content> {
    text(start(StatusCode::OK), asked, "text/plain", content)
}

/// `{"status": "error", "message": …}` as hubs write it.
pub(super) fn json_error(
    asked: &Asked<'_>,
    status: StatusCode,
    message: &str,
) -> Response<Content> {
    let value = Json::Object(vec![
        ("status".to_owned(), Json::Text("error".to_owned())),
        ("message".to_owned(), Json::Text(message.to_owned())),
    ]);
    let bytes = json::to_bytes(&value).unwrap_or_default();
    text(start(status), asked, JSON, bytes)
}

/// JSON whose status is not 200.
pub(super) fn json_status(
    asked: &Asked<'_>,
    status: StatusCode,
    bytes: Vec<u8>,
) -> Response<Content> {
    text(start(status), asked, JSON, bytes)
}

/// 404 as a page: a helpful one for people, the hubs' own for tools.
pub(super) fn not_found(asked: &Asked<'_>) -> Response<Content> {
    let mut builder = start(StatusCode::NOT_FOUND).header(VARY, "Accept");
    if asked.wants_page() {
        builder = page_headers(builder);
        text(builder, asked, HTML, pages::not_found(asked.path))
    } else {
        text(builder, asked, HTML, PLAIN_NOT_FOUND)
    }
}

/// An error that is not the client's: a page for people, JSON for tools.
pub(super) fn unavailable(
    asked: &Asked<'_>,
    status: StatusCode,
    message: &str,
) -> Response<Content> {
    let mut response = if asked.wants_page() {
        let builder = page_headers(start(status).header(VARY, "Accept"));
        text(builder, asked, HTML, pages::failure(message))
    } else {
        json_error(asked, status, message)
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        set(&mut response, RETRY_AFTER, "1");
    }
    response
}

/// 400: what only a hub with accounts does.
pub(super) fn read_only(asked: &Asked<'_>) -> Response<Content> {
    text(start(StatusCode::BAD_REQUEST), asked, JSON, READ_ONLY)
}

/// 405 with the methods that there are.
pub(super) fn method_not_allowed(asked: &Asked<'_>, inspects: bool) -> Response<Content> {
    let message = "this is a mirror: it answers GET and HEAD";
    let mut response = json_error(asked, StatusCode::METHOD_NOT_ALLOWED, message);
    set(
        &mut response,
        ALLOW,
        if inspects {
            "GET, HEAD, INFO"
        } else {
            "GET, HEAD"
        },
    );
    response
}

/// 413: no request has a body here.
pub(super) fn body_refused(asked: &Asked<'_>) -> Response<Content> {
    json_error(
        asked,
        StatusCode::PAYLOAD_TOO_LARGE,
        "requests have no body here",
    )
}

/// Ends the connection after this answer.
pub(super) fn and_close(mut response: Response<Content>) -> Response<Content> {
    set(&mut response, CONNECTION, "close");
    response
}

fn set(response: &mut Response<Content>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

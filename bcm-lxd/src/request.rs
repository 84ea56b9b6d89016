//! Requests as values: what to send, apart from sending it.

use std::path::PathBuf;

use bytes::Bytes;
use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON text.
    Json(Bytes),
    /// Bytes of a file or an image.
    Bytes(Bytes),
    /// A file of this machine, which is never in memory as a whole.
    File(PathBuf),
    /// A form with files; the text separates its parts.
    Multipart(&'static str, Bytes),
}

/// One call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl Request {
    /// A call of `/1.0/SEGMENTS…`; every segment is percent-encoded.
    #[must_use]
    pub fn new(method: Method, segments: &[&str]) -> Self {
        let mut path = String::from("/1.0");
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
        Self {
            method,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::Empty,
        }
    }

    /// A `POST` of `body` as JSON to `/internal/NAME`, which the daemon's own tools use.
    pub(crate) fn internal(name: &str, body: &impl Serialize) -> Self {
        let mut request = Self::post(&[], body);
        request.path = format!("/internal/{name}");
        request
    }

    /// A `GET`.
    #[must_use]
    pub fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    /// A `DELETE`.
    #[must_use]
    pub fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments)
    }

    /// A `POST` of `body` as JSON.
    #[must_use]
    pub fn post(segments: &[&str], body: &impl Serialize) -> Self {
        Self::new(Method::POST, segments).with_json(body)
    }

    /// A `PUT` of `body` as JSON.
    #[must_use]
    pub fn put(segments: &[&str], body: &impl Serialize) -> Self {
        Self::new(Method::PUT, segments).with_json(body)
    }

    /// A `PATCH` of `body` as JSON.
    #[must_use]
    pub fn patch(segments: &[&str], body: &impl Serialize) -> Self {
        Self::new(Method::PATCH, segments).with_json(body)
    }

    fn with_json(mut self, body: &impl Serialize) -> Self {
        // Serializing maps with text keys and plain values cannot fail; an empty body would be
        // refused by the daemon with a clear error.
        self.body = Body::Json(serde_json::to_vec(body).unwrap_or_default().into());
        self
    }

    /// Carries the bytes of a file or an image.
    #[must_use]
    pub fn with_bytes(mut self, bytes: Bytes) -> Self {
        self.body = Body::Bytes(bytes);
        self
    }

    /// Carries the bytes of a file of this machine.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.body = Body::File(path.into());
        self
    }

    /// Carries a form whose parts `boundary` separates.
    #[must_use]
    pub fn with_multipart(mut self, boundary: &'static str, bytes: Bytes) -> Self {
        self.body = Body::Multipart(boundary, bytes);
        self
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn with_query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a query parameter where there is a value.
    #[must_use]
    pub fn with_optional(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with_query(name, value),
            None => self,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The path and query as they go on the wire.
    #[must_use]
    pub fn target(&self) -> String {
        let mut target = self.path.clone();
        for (index, (name, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.extend(utf8_percent_encode(value, SEGMENT));
        }
        target
    }

    /// What errors call this request.
    #[must_use]
    pub fn call(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_segment() {
        let request = Request::get(&["instances", "a/../b?x#y"])
            .with_query("target", "n 1&x=2")
            .with_optional("project", None);
        assert_eq!(
            request.target(),
            "/1.0/instances/a%2F..%2Fb%3Fx%23y?target=n%201%26x%3D2"
        );
    }
}

//! An answer, and its body in pieces.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};
use url::Url;

use super::{HttpError, HttpErrorKind, HttpOptions};

/// The head of an answer and the body that is still to come.
#[derive(Debug)]
pub struct Response {
    url: Url,
    head: hyper::http::response::Parts,
    body: Incoming,
    options: Arc<HttpOptions>,
    expected: Option<u64>,
    got: u64,
    window_started: Instant,
    window_bytes: u64,
}

impl Response {
    pub(super) fn new(
        url: Url,
        method: Method,
        response: hyper::Response<Incoming>,
        options: Arc<HttpOptions>,
    ) -> Self {
        let (head, body) = response.into_parts();
        let expected = (method != Method::HEAD)
            .then(|| body.size_hint().exact())
            .flatten();
        Self {
            url,
            head,
            body,
            options,
            expected,
            got: 0,
            window_started: Instant::now(),
            window_bytes: 0,
        }
    }

    /// The status line's code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// A header's value, where it is there and text.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The length of the body, where the server said it.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.expected
    }

    /// The length that `Content-Length` says, also in the answer to a `HEAD`.
    #[must_use]
    pub fn announced_length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// Whether a body that ends can be told from a connection that broke: its length is said
    /// before, or it is chunked.
    #[must_use]
    pub fn has_an_end(&self) -> bool {
        super::validators::has_an_end(&self.head.headers)
    }

    /// `Last-Modified` as seconds since 1970, where the server sent it.
    #[must_use]
    pub fn last_modified(&self) -> Option<u64> {
        let time = httpdate::parse_http_date(self.header(header::LAST_MODIFIED)?).ok()?;
        Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
    }

    /// The URL that answered, after redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// This answer, if its status is 2xx.
    ///
    /// # Errors
    /// [`HttpErrorKind::Status`] otherwise.
    pub fn success(self) -> Result<Self, HttpError> {
        if self.head.status.is_success() {
            Ok(self)
        } else {
            Err(HttpError::new(
                &self.url,
                HttpErrorKind::Status(self.head.status),
            ))
        }
    }

    pub(super) fn redirect_target(&self) -> Option<String> {
        matches!(self.head.status.as_u16(), 301 | 302 | 303 | 307 | 308)
            .then(|| self.header(header::LOCATION).map(str::to_owned))
            .flatten()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke, paused or crawled; the body is shorter than promised.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = match tokio::time::timeout(self.options.idle, self.body.frame()).await {
                Err(_) => {
                    return Err(self.error(HttpErrorKind::Silent {
                        waited: self.options.idle,
                        setting: "idle",
                    }));
                }
                Ok(None) => return self.ended(),
                Ok(Some(Err(error))) => {
                    let kind = match self.expected {
                        Some(expected) if self.got < expected => HttpErrorKind::Short {
                            got: self.got,
                            expected,
                        },
                        _ => HttpErrorKind::Broken,
                    };
                    return Err(HttpError::caused(&self.url, kind, error));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.got += data.len() as u64;
            self.window_bytes += data.len() as u64;
            self.check_rate()?;
            // That we hold back is not the server's slowness.
            let held = Instant::now();
            self.options.limiter.bytes(data.len()).await;
            self.window_started += held.elapsed();
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    fn ended(&self) -> Result<Option<Bytes>, HttpError> {
        match self.expected {
            Some(expected) if self.got != expected => Err(self.error(HttpErrorKind::Short {
                got: self.got,
                expected,
            })),
            _ => Ok(None),
        }
    }

    fn check_rate(&mut self) -> Result<(), HttpError> {
        let elapsed = self.window_started.elapsed();
        if elapsed < self.options.idle {
            return Ok(());
        }
        let rate = (self.window_bytes as f64 / elapsed.as_secs_f64()) as u64;
        if rate < self.options.slowest {
            return Err(self.error(HttpErrorKind::TooSlow { rate }));
        }
        self.window_started = Instant::now();
        self.window_bytes = 0;
        Ok(())
    }

    /// The whole body, if it has at most `max` bytes.
    ///
    /// # Errors
    /// As [`Response::chunk`]; [`HttpErrorKind::TooLarge`].
    pub async fn bytes(mut self, max: u64) -> Result<Bytes, HttpError> {
        self.check_announced_size(max)?;
        let mut all = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if all.len() as u64 + piece.len() as u64 > max {
                return Err(self.error(HttpErrorKind::TooLarge(max)));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Writes the body to `writer`, at most `max` bytes of it, showing each piece to `seen` (for
    /// hashing and for progress). Returns how many bytes there were.
    ///
    /// # Errors
    /// As [`Response::bytes`]; [`HttpErrorKind::Write`] when `writer` fails.
    pub async fn copy_to(
        mut self,
        writer: &mut (dyn Write + Send),
        max: u64,
        mut seen: impl FnMut(&[u8]) + Send,
    ) -> Result<u64, HttpError> {
        self.check_announced_size(max)?;
        let mut written = 0;
        while let Some(piece) = self.chunk().await? {
            written += piece.len() as u64;
            if written > max {
                return Err(self.error(HttpErrorKind::TooLarge(max)));
            }
            seen(&piece);
            writer
                .write_all(&piece)
                .map_err(|e| HttpError::caused(&self.url, HttpErrorKind::Write, e))?;
        }
        Ok(written)
    }

    fn check_announced_size(&self, max: u64) -> Result<(), HttpError> {
        match self.expected {
            Some(expected) if expected > max => Err(self.error(HttpErrorKind::TooLarge(max))),
            _ => Ok(()),
        }
    }

    fn error(&self, kind: HttpErrorKind) -> HttpError {
        HttpError::new(&self.url, kind)
    }
}

//! An HTTP client for talking to servers that may be slow, broken or hostile.
//!
//! Connections are pooled. Every phase has its own deadline: connecting, the first byte of the
//! answer, each pause between two pieces of the body, and a lowest average rate, so that a server
//! that drips cannot hold a task for ever; a long download has no deadline of its own. Bodies are
//! capped by the caller. Redirects stay on the same host and never leave HTTP(S).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bcm_core::http::{HttpClient, HttpOptions};
//!
//! let client = HttpClient::new(HttpOptions::default())?;
//! let url = "https://hub.grid.tf/api/repositories".parse()?;
//! let body = client.get_bytes(&url, 16 << 20).await?;
//! println!("{} bytes", body.len());
//! # Ok(()) }
//! ```

mod error;
mod options;
mod response;
mod validators;

pub use error::{HttpError, HttpErrorKind};
pub use hyper::header;
pub use hyper::{Method, StatusCode};
pub use options::HttpOptions;
pub use response::Response;
pub use url::Url;
pub use validators::{ContentRange, Validators};

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::redact;

/// A request without a body.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD`, or a hub's own `INFO`.
    pub method: Method,
    /// What to ask for.
    pub url: Url,
    /// Headers beside the client's own.
    pub headers: HeaderMap,
}

impl Request {
    /// A `GET` of `url`.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
        }
    }

    /// A `HEAD` of `url`.
    #[must_use]
    pub fn head(url: Url) -> Self {
        Self {
            method: Method::HEAD,
            ..Self::get(url)
        }
    }

    /// Adds a header; one whose value is not legal in HTTP is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// `base` with `segments` added to its path, each percent-encoded as one segment.
///
/// ```
/// use bcm_core::http::join;
/// let base = "http://hub.example.test/".parse().unwrap();
/// assert_eq!(
///     join(&base, &["alice", "a b?.flist"]).as_str(),
///     "http://hub.example.test/alice/a%20b%3F.flist"
/// );
/// ```
#[must_use]
pub fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A pooled HTTP/1.1 client. Clones share the pool.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    options: Arc<HttpOptions>,
}

impl HttpClient {
    /// Makes a client. TLS roots are the machine's own, or, where it has none, Mozilla's.
    ///
    /// # Errors
    /// The TLS library refused its own defaults.
    pub fn new(options: HttpOptions) -> Result<Self, HttpError> {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .map_err(|e| HttpError::setup(&e))?;
        let tls = match tls.clone().with_native_roots() {
            Ok(builder) => builder,
            Err(_) => tls.with_webpki_roots(),
        }
        .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(options.connect));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle)
            .http1_max_buf_size(256 * 1024)
            .build(connector);
        Ok(Self {
            client,
            options: Arc::new(options),
        })
    }

    /// Sends `request` and waits for the head of the answer, following redirects on the same host.
    /// Any status is an answer, not an error.
    ///
    /// Cancel safety: dropping the future closes the connection.
    ///
    /// # Errors
    /// No connection, no answer in time, a redirect that must not be followed.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let mut url = request.url.clone();
        for _ in 0..=self.options.max_redirects {
            let response = self.send_once(&request, &url).await?;
            let Some(next) = response.redirect_target() else {
                return Ok(response);
            };
            url = check_redirect(&url, &next)?;
        }
        Err(HttpError::new(
            &request.url,
            HttpErrorKind::TooManyRedirects(self.options.max_redirects),
        ))
    }

    async fn send_once(&self, request: &Request, url: &Url) -> Result<Response, HttpError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HttpError::new(
                url,
                HttpErrorKind::Scheme(url.scheme().to_owned()),
            ));
        }
        let mut builder = hyper::Request::builder()
            .method(request.method.clone())
            .uri(url.as_str())
            .header(header::USER_AGENT, &self.options.user_agent);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let message = builder
            .body(Empty::new())
            .map_err(|e| HttpError::new(url, HttpErrorKind::Request(e.to_string())))?;
        self.options.limiter.request().await;
        let started = Instant::now();
        let limit = self.options.connect + self.options.first_byte;
        let shown = redact::url(url.as_str());
        tracing::debug!(method = %request.method, url = shown, "asking");
        match tokio::time::timeout(limit, self.client.request(message)).await {
            Ok(Ok(response)) => Ok(Response::new(
                url.clone(),
                request.method.clone(),
                response,
                Arc::clone(&self.options),
            )),
            Ok(Err(error)) => Err(HttpError::transport(url, error)),
            Err(_) => Err(HttpError::new(
                url,
                HttpErrorKind::Silent {
                    waited: started.elapsed(),
                    setting: "first_byte",
                },
            )),
        }
    }

    /// The body of a successful `GET`, at most `max` bytes of it.
    ///
    /// # Errors
    /// As [`HttpClient::send`]; a status other than 2xx; a body over `max` bytes.
    pub async fn get_bytes(&self, url: &Url, max: u64) -> Result<Bytes, HttpError> {
        let response = self.send(Request::get(url.clone())).await?;
        response.success()?.bytes(max).await
    }
}

fn check_redirect(from: &Url, target: &str) -> Result<Url, HttpError> {
    let refused = |why: &'static str| {
        HttpError::new(
            from,
            HttpErrorKind::Redirect {
                target: target.chars().take(200).collect(),
                why,
            },
        )
    };
    let next = from.join(target).map_err(|_| refused("it is not a URL"))?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(refused("it leaves HTTP"));
    }
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(refused("it leaves TLS"));
    }
    if from.host() != next.host() {
        return Err(refused("it leads to another host"));
    }
    Ok(next)
}

#[cfg(test)]
mod tests;

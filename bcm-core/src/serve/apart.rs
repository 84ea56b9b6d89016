//! `/metrics` at an address of its own, which need not be public.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::body::Content;
use super::limits::ServeLimits;
use super::listen::{Handler, Listeners, ServeError};
use super::metrics::CONTENT_TYPE;
use super::response::{self, Asked};

/// Something that has metrics.
pub trait MetricsSource: Send + Sync + 'static {
    /// Its metrics as they are now, in Prometheus' text format; nothing where it has none to tell.
    fn metrics_text(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;
}

/// A server of `/metrics` and nothing else: those of all its sources, one after the other.
#[derive(Debug)]
pub struct MetricsServer {
    listeners: Listeners,
}

struct Sources(Vec<Arc<dyn MetricsSource>>);

impl MetricsServer {
    /// Listens on all addresses, as [`Listeners::bind`] does.
    ///
    /// # Errors
    /// There is no address, or one cannot be listened on.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, ServeError> {
        let listeners = Listeners::bind(addresses)?;
        Ok(Self { listeners })
    }

    /// The addresses that are listened on, with the ports that the system chose.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.listeners.local_addrs()
    }

    /// Serves until `cancel`. No two sources may have a metric of the same name.
    ///
    /// Cancel safety: dropping the future closes the listeners and all connections at once.
    pub async fn run(self, sources: Vec<Arc<dyn MetricsSource>>, cancel: CancellationToken) {
        let sources = Arc::new(Sources(sources));
        let limits = ServeLimits::default();
        self.listeners.serve(sources, limits, cancel).await;
    }
}

impl Handler for Sources {
    async fn answer(&self, request: Request<Incoming>) -> Response<Content> {
        let asked = Asked::of(&request);
        if ![Method::GET, Method::HEAD].contains(asked.method) {
            return response::and_close(response::method_not_allowed(&asked, "GET, HEAD"));
        }
        if !request.body().is_end_stream() {
            return response::and_close(response::body_refused(&asked));
        }
        if asked.path != "/metrics" {
            return response::not_found(&asked, || "There is only /metrics here.\n".to_owned());
        }
        let mut text = String::new();
        for source in &self.0 {
            text.push_str(&source.metrics_text().await);
        }
        let builder = response::start(StatusCode::OK);
        response::text(builder, &asked, CONTENT_TYPE, text)
    }
}

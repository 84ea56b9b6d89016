//! The Bootstrap's server.

use std::net::SocketAddr;
use std::sync::Arc;

use bcm_core::serve::body::Content;
use bcm_core::serve::{Handler, Listeners, MetricsSource, ServeError, ServeLimits};
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::options::ServeOptions;

/// A Bootstrap's HTTP server over a folder of kernels. It has no way to change that folder.
#[derive(Debug)]
pub struct BootstrapServer {
    listeners: Listeners,
    limits: ServeLimits,
    app: Arc<App>,
}

impl BootstrapServer {
    /// Listens on all addresses, and reads the prebuilt iPXE of boot media if it is there. A folder that
    /// cannot be read is no reason to fail: the server says so to whoever asks, and tries again.
    ///
    /// Must be called on a tokio runtime.
    ///
    /// # Errors
    /// There is no address, or one cannot be listened on.
    pub fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        let listeners = Listeners::bind(&options.listen)?;
        let limits = options.limits.clone();
        // Reads three small files at most, before anything is served.
        let app = Arc::new(App::new(options));
        Ok(Self {
            listeners,
            limits,
            app,
        })
    }

    /// The addresses that are listened on, with the ports that the system chose, in the order of
    /// [`ServeOptions::listen`].
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.listeners.local_addrs()
    }

    /// Its metrics, for an address of their own; see [`ServeOptions::metrics_apart`].
    #[must_use]
    pub fn metrics(&self) -> Arc<dyn MetricsSource> {
        Arc::clone(&self.app) as Arc<dyn MetricsSource>
    }

    /// Serves until `cancel`, then lets the answers that are under way end, for at most
    /// [`ServeLimits::shutdown_grace`].
    ///
    /// Cancel safety: dropping the future closes the listeners and all connections at once.
    pub async fn run(self, cancel: CancellationToken) {
        self.listeners.serve(self.app, self.limits, cancel).await;
    }
}

impl Handler for App {
    async fn answer(&self, request: Request<Incoming>) -> Response<Content> {
        let has_body = !request.body().is_end_stream();
        self.answer_request(&request, has_body).await
    }
}

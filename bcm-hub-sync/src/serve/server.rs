//! The hub's server: its listeners, and what it does beside answering.

use std::net::SocketAddr;
use std::sync::Arc;

use bcm_core::serve::{Handler, Listeners, MetricsSource, ServeError, ServeLimits};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::body::Content;
use super::options::ServeOptions;
use super::route::Route;
use super::watch::Watch;

/// A hub's HTTP server over a published tree. It has no way to change that tree, but with
/// [`ServeOptions::publishing`] and in a hub that stands alone.
#[derive(Debug)]
pub struct HubServer {
    listeners: Listeners,
    limits: ServeLimits,
    app: Arc<App>,
}

/// Makes a [`HubServer`] look at its tree without waiting for [`ServeOptions::refresh`]: for who
/// publishes in the same process and wants the next request to see it.
#[derive(Debug, Clone)]
pub struct Refresher {
    watch: Arc<Watch>,
}

impl Refresher {
    /// Looks at the tree; when this returns, requests are answered from what is there now.
    pub async fn refresh(&self) {
        self.watch.refresh().await;
    }

    #[cfg(test)]
    pub(super) fn is_looking(&self) -> bool {
        self.watch.is_looking()
    }
}

impl HubServer {
    /// Listens on all addresses and looks at the tree for the first time. A tree that cannot be
    /// read is no reason to fail: the server says so to whoever asks, and tries again.
    ///
    /// # Errors
    /// There is no address, or one cannot be listened on.
    pub async fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        let listeners = Listeners::bind(&options.listen)?;
        let app = Arc::new(App::new(&options));
        app.watch.snapshot().await;
        Ok(Self {
            listeners,
            limits: options.limits,
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

    /// Makes this server look at its tree at once, also while it runs.
    #[must_use]
    pub fn refresher(&self) -> Refresher {
        Refresher {
            watch: Arc::clone(&self.app.watch),
        }
    }

    /// Serves until `cancel`, then lets the answers that are under way end, for at most
    /// [`ServeLimits::shutdown_grace`].
    ///
    /// Cancel safety: dropping the future closes the listeners and all connections at once.
    pub async fn run(self, cancel: CancellationToken) {
        let warm =
            Arc::clone(&self.app.checksums).keep_warm(Arc::clone(&self.app.watch), cancel.clone());
        tokio::join!(self.listeners.serve(self.app, self.limits, cancel), warm);
    }
}

impl Handler for App {
    async fn answer(&self, request: Request<Incoming>) -> Response<Content> {
        let response = match &self.writing {
            Some(writing) if Route::of(request.uri().path()) == Route::ApiMe => {
                writing.answer(self, request).await
            }
            _ => self.answer_request(&request).await,
        };
        self.answers.count(response.status());
        response
    }
}

//! The Bootstrap's part of `bcm stack start --here`.

use std::net::SocketAddr;
use std::sync::Arc;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::serve::{BootstrapServer, MetricsSource, ServeOptions};
use bcm_bootstrap_sync::sync::{FollowOptions, SyncConfig, sync};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::commands::Context;
use crate::commands::bootstrap::sync::{Synced, exit_code, failure, follow};
use crate::demo::bootstrap::BootstrapOrigin;
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;

/// What there is to work with.
pub(super) struct BootstrapParts {
    pub(super) config: SyncConfig,
    pub(super) serve: ServeOptions,
    pub(super) follow: FollowOptions,
    /// With `--demo`: the Bootstrap that is mirrored.
    pub(super) origin: Option<BootstrapOrigin>,
}

/// A mirror of a Bootstrap that is being served.
pub(super) struct Bootstrap {
    layout: Layout,
    config: SyncConfig,
    follow: FollowOptions,
    metrics: Arc<dyn MetricsSource>,
    server: JoinHandle<()>,
    origin: Option<BootstrapOrigin>,
}

/// Said when it is served.
#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    http: &'a [SocketAddr],
    upstream: Vec<String>,
}

impl Bootstrap {
    /// Listens, serves in the background until `cancel`, and says where.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub(super) fn start(
        context: &Context,
        parts: BootstrapParts,
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        let layout = parts.serve.layout.clone();
        let server = BootstrapServer::bind(parts.serve)
            .map_err(|error| Failure::new(error).hint_on_listening("--bootstrap-http"))?;
        let upstreams = parts.config.upstreams.iter();
        let upstream = upstreams.map(|url| bcm_core::redact::url(url.as_str()));
        let event = Event {
            event: "serving_bootstrap",
            http: server.local_addrs(),
            upstream: upstream.collect(),
        };
        let mut text = format!("serving the kernels of {}", event.upstream.join(", "));
        for address in server.local_addrs() {
            text += &format!("\n  bootstrap (HTTP)  http://{address}/");
        }
        context.reporter.announce(&text, &event);
        Ok(Self {
            layout,
            config: parts.config,
            follow: parts.follow,
            metrics: server.metrics(),
            server: tokio::spawn(server.run(cancel.clone())),
            origin: parts.origin,
        })
    }

    /// Its metrics.
    pub(super) fn metrics(&self) -> Arc<dyn MetricsSource> {
        Arc::clone(&self.metrics)
    }

    /// Syncs once. A failure is said, not given back: the hub's part goes on without the kernels.
    pub(super) async fn once(
        &self,
        context: &Context,
        cancel: &CancellationToken,
    ) -> (Option<Synced>, ExitCode) {
        let progress = context.reporter.progress();
        match sync(&self.layout, &self.config, progress, cancel.clone()).await {
            Ok(report) => {
                let code = exit_code(&report);
                let data = self.layout.root().to_owned();
                (Some(Synced { data, report }), code)
            }
            Err(error) => {
                let text = bcm_core::cause::chain(&error);
                let code = failure(error).code();
                let text = format!("the kernels could not be mirrored: {text}");
                context.reporter.warn(&text);
                (None, code)
            }
        }
    }

    /// Syncs until it is told to stop.
    pub(super) async fn follow(&self, context: &Context, cancel: &CancellationToken) {
        follow(context, &self.layout, &self.config, &self.follow, cancel).await;
    }

    /// Waits until the server has ended, after it was told to.
    pub(super) async fn ended(self) {
        // It only ends.
        let _ = self.server.await;
        if let Some(origin) = self.origin {
            origin.stop().await;
        }
    }
}

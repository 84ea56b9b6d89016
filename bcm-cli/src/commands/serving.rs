//! The two servers together: the hub's HTTP and 0-db's protocol.

use std::net::SocketAddr;
use std::sync::Arc;

use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::mode::Mode;
use bcm_hub_sync::serve::{
    CountedStore, HubServer, MetricsServer, MetricsSource, OpenStore, PublishOptions, Refresher,
    ServeOptions,
};
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::embedded::Access;
use bcm_hub_sync::zdb::server::{ZdbServer, ZdbServerOptions};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::diagnostics::Failure;
use crate::settings::listen::reachable;
use crate::settings::serve::{PublishingSettings, ServeSettings};
use crate::settings::store::StoreSettings;

/// Servers that run until they are told to stop.
pub(crate) struct Serving {
    pub(crate) addresses: Addresses,
    /// Shows what was just published to the next request.
    pub(crate) refresher: Refresher,
    servers: JoinSet<()>,
    metrics: Vec<Arc<dyn MetricsSource>>,
    /// Where these are answered, if apart.
    apart: Option<MetricsServer>,
}

/// What is listened on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Addresses {
    /// Of the HTTP server.
    pub(crate) http: Vec<SocketAddr>,
    /// Of the 0-db server.
    pub(crate) zdb: Vec<SocketAddr>,
    /// Of the metrics, where they are apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) metrics: Vec<SocketAddr>,
}

/// Listens for who asks for metrics apart from the rest, where somebody wants that.
///
/// # Errors
/// An address cannot be listened on.
pub(crate) fn metrics_apart(listen: &[SocketAddr]) -> Result<Option<MetricsServer>, Failure> {
    match listen {
        [] => Ok(None),
        listen => MetricsServer::bind(listen)
            .map(Some)
            .map_err(|error| Failure::new(error).hint_on_listening("--metrics")),
    }
}

impl Addresses {
    /// A URL that this machine can open.
    pub(crate) fn url(&self) -> Option<String> {
        Some(format!("http://{}/", reachable(*self.http.first()?)))
    }

    /// The addresses as lines: what, then where.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        let rows = |what: &str, addresses: &[SocketAddr], scheme: &str, end: &str| {
            addresses
                .iter()
                .enumerate()
                .map(|(at, address)| {
                    let what = if at == 0 { what } else { "" };
                    vec![what.to_owned(), format!("{scheme}{address}{end}")]
                })
                .collect::<Vec<_>>()
        };
        let mut all = rows("  hub (HTTP)", &self.http, "http://", "/");
        all.extend(rows("  blocks (0-db)", &self.zdb, "zdb://", ""));
        all.extend(rows("  metrics", &self.metrics, "http://", "/metrics"));
        all
    }
}

impl Serving {
    /// Listens, and serves in the background until `cancel`. Where the hub stands alone, what is published
    /// over the network is taken, and `open` opens the store for that, if it is given; from a mirror nobody can write.
    ///
    /// # Errors
    /// An address cannot be listened on, or what the hub is cannot be told.
    pub(crate) async fn start(
        layout: &Layout,
        store: Arc<dyn BlockStore>,
        open: Option<&StoreSettings>,
        settings: ServeSettings,
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mode = Mode::of(layout).map_err(Failure::new)?;
        let publishing = match (open, settings.publishing) {
            (Some(open), Some(settings)) if mode.is_writable() => {
                Some(publishing(layout, open, settings))
            }
            _ => None,
        };
        let options = ZdbServerOptions {
            listen: settings.zdb,
            free_space_of: Some(layout.root().to_owned()),
            ..ZdbServerOptions::default()
        };
        let counted = CountedStore(Arc::clone(&store));
        let zdb = ZdbServer::bind(options, store)
            .await
            .map_err(|error| Failure::new(error).hint_on_listening("--zdb"))?;
        let mut backend = settings.backend;
        if backend.port == 0 {
            // Nobody said where blocks are from outside: here, then, on the port that was bound.
            backend.port = zdb.local_addrs().first().map_or(0, SocketAddr::port);
        }
        let mut options = ServeOptions::new(layout.clone(), settings.http, backend);
        options.upstream = settings.upstream.filter(|_| mode == Mode::Mirror);
        options.publishing = publishing;
        options.store = Some(counted);
        options.metrics_apart = !settings.metrics.is_empty();
        let http = HubServer::bind(options)
            .await
            .map_err(|error| Failure::new(error).hint_on_listening("--http"))?;
        let apart = metrics_apart(&settings.metrics)?;
        let addresses = Addresses {
            http: http.local_addrs().to_vec(),
            zdb: zdb.local_addrs(),
            metrics: apart
                .as_ref()
                .map(|apart| apart.local_addrs().to_vec())
                .unwrap_or_default(),
        };
        let metrics = vec![http.metrics()];
        let refresher = http.refresher();
        let mut servers = JoinSet::new();
        servers.spawn(http.run(cancel.clone()));
        servers.spawn(zdb.run(cancel.clone()));
        Ok(Self {
            addresses,
            refresher,
            servers,
            metrics,
            apart,
        })
    }

    /// Answers with the metrics of this and of `others`, where they are apart from the rest.
    pub(crate) fn serve_metrics(
        &mut self,
        others: impl IntoIterator<Item = Arc<dyn MetricsSource>>,
        cancel: &CancellationToken,
    ) {
        if let Some(apart) = self.apart.take() {
            self.metrics.extend(others);
            let sources = std::mem::take(&mut self.metrics);
            self.servers.spawn(apart.run(sources, cancel.clone()));
        }
    }

    /// Waits until all servers have ended, after they were told to.
    pub(crate) async fn ended(mut self) {
        while self.servers.join_next().await.is_some() {}
    }
}

/// How what is published over the network is taken.
fn publishing(
    layout: &Layout,
    open: &StoreSettings,
    settings: PublishingSettings,
) -> PublishOptions {
    let (layout, open) = (layout.clone(), open.clone());
    let open = move || open.open(&layout, Access::ReadWrite);
    let mut options = PublishOptions::new(OpenStore(Arc::new(open)));
    options.backend = settings.backend;
    options.upload_bytes = settings.max_upload;
    options.archive.unpacked_bytes = settings.max_unpacked;
    options.upload_timeout = settings.timeout;
    options.uploads = settings.uploads;
    options
}

//! How a mirror is served.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bcm_core::serve::ServeLimits;

use super::metrics::CountedStore;
use super::writing::PublishOptions;
use crate::flist::{self, Backend};
use crate::layout::Layout;

/// What to serve, where, and within which limits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The data folder; its published tree is what is served. The tree may also be one that an
    /// upstream hub made.
    pub layout: Layout,
    /// Where to listen. An IPv6 address beside an IPv4 one with the same port takes IPv6 only;
    /// `[::]` alone takes both where the system does so. Port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// The 0-db that nodes fetch blocks from. A hub names it in the metadata of links that lead
    /// nowhere.
    pub backend: Backend,
    /// The hub that this mirrors, as pages name it. Default: none, pages say just "a hub".
    pub upstream: Option<String>,
    /// The store whose blocks `/metrics` counts. Default: none, and blocks are not counted.
    pub store: Option<CountedStore>,
    /// Whether `/metrics` is answered elsewhere, by a [`MetricsServer`](bcm_core::serve::MetricsServer), so
    /// that this server has no such path. Default: no.
    pub metrics_apart: bool,
    /// A folder for unpacking flists to look into them; made when it is first needed. Default:
    /// `hub/scratch` in the data folder.
    pub scratch: PathBuf,
    /// The tree is looked at for changes at most this often. Default: 1 s.
    pub refresh: Duration,
    /// What clients may take.
    pub limits: ServeLimits,
    /// What an flist may take when it is looked into.
    pub flist_limits: flist::Limits,
    /// How what is published over the network is taken, where the hub stands alone. Default: it is not,
    /// as for every mirror.
    pub publishing: Option<PublishOptions>,
}

impl ServeOptions {
    /// Serves the tree of `layout` on the addresses `listen` with default limits.
    #[must_use]
    pub fn new(layout: Layout, listen: Vec<SocketAddr>, backend: Backend) -> Self {
        Self {
            scratch: layout.hub().join("scratch"),
            layout,
            listen,
            backend,
            upstream: None,
            store: None,
            metrics_apart: false,
            refresh: Duration::from_secs(1),
            limits: ServeLimits::default(),
            flist_limits: flist::Limits::default(),
            publishing: None,
        }
    }
}

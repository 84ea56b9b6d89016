//! How a mirror is served.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// A folder for unpacking flists to look into them; made when it is first needed. Default:
    /// `hub/scratch` in the data folder.
    pub scratch: PathBuf,
    /// The tree is looked at for changes at most this often. Default: 1 s.
    pub refresh: Duration,
    /// What clients may take.
    pub limits: ServeLimits,
    /// What an flist may take when it is looked into.
    pub flist_limits: flist::Limits,
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
            refresh: Duration::from_secs(1),
            limits: ServeLimits::default(),
            flist_limits: flist::Limits::default(),
        }
    }
}

/// What clients may take of a server. No request may have a body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeLimits {
    /// Connections at the same time; one more is told to come back (503). Default: 1,024.
    pub connections: usize,
    /// Connections of one address at the same time (of one /64 network for IPv6). Many nodes may
    /// share an address, so it is not small; this machine's own, where a proxy may be, has no
    /// limit. Default: 256.
    pub connections_per_address: usize,
    /// Bytes of a request's head, at least 8,192. Default: 16 KiB.
    pub head_bytes: usize,
    /// From the first byte of a request's head to its last. Default: 10 s.
    pub head_timeout: Duration,
    /// How long a connection may be without a request. Default: 60 s.
    pub idle_timeout: Duration,
    /// How long a client may not take any byte of its answer. Default: 30 s.
    pub stall_timeout: Duration,
    /// How long answers that are under way may take to end at a shutdown. Default: 10 s.
    pub shutdown_grace: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 256,
            head_bytes: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

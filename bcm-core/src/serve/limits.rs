//! What clients may take.

use std::time::Duration;

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

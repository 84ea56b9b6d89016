//! How long to wait for what.

use std::time::Duration;

use crate::limiter::Limiter;

/// Limits of an [`HttpClient`](super::HttpClient).
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Sent as `User-Agent`. Default `bcm/VERSION`.
    pub user_agent: String,
    /// How long a TCP connection may take. Default 10 s.
    pub connect: Duration,
    /// How long the head of an answer may take once connected. Default 30 s.
    pub first_byte: Duration,
    /// How long the body may pause. Default 30 s.
    pub idle: Duration,
    /// The lowest average rate of a body in bytes per second, looked at once every [`idle`] time;
    /// 0 allows any. Default 256.
    ///
    /// [`idle`]: Self::idle
    pub slowest: u64,
    /// How many redirects in a row are followed. Default 5.
    pub max_redirects: u32,
    /// How much is asked for. Default: any amount.
    pub limiter: Limiter,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("bcm/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            slowest: 256,
            max_redirects: 5,
            limiter: Limiter::default(),
        }
    }
}

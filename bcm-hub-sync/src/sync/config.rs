//! What a sync is told.

use std::time::Duration;

use bcm_core::digest::Md5;
use bcm_core::http::{HttpOptions, Url};
use bcm_core::retry::RetryPolicy;

use super::blocks::FetchOptions;
use crate::catalog::pins::Pins;
use crate::catalog::selection::Selection;
use crate::flist::{Backend, Limits};
use crate::zdb::ZdbAddress;
use crate::zdb::address::{DEFAULT_NAMESPACE, DEFAULT_PORT};

/// In what form flists are published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FlistMode {
    /// Byte for byte as upstream has them, with the same MD5. Nodes fetch the blocks from where
    /// the flist says, unless DNS leads them here.
    #[default]
    Verbatim,
    /// With this backend in the place of the one that they name, and so with another MD5.
    Rewritten(Backend),
}

impl FlistMode {
    /// A text that is different for every form. It does not show the backend's password.
    pub(crate) fn form(&self) -> String {
        match self {
            Self::Verbatim => "verbatim".to_owned(),
            Self::Rewritten(backend) => {
                format!("rewritten {}", Md5::of(backend.to_json().as_bytes()))
            }
        }
    }
}

/// Which blocks are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BlockMode {
    /// Exactly those that the mirrored flists name and the store lacks. An flist is published when
    /// its last block is in the store.
    #[default]
    Closure,
    /// These, and all others that the 0-db's namespace has, by its own scan. What is deleted there
    /// is deleted here after the time of grace, unless a published flist names it.
    All,
    /// None: the catalogue alone is mirrored.
    None,
}

/// What a sync is told.
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// The hubs, in the order of preference. They are expected to serve the same catalogue.
    pub upstreams: Vec<Url>,
    /// The 0-dbs that blocks come from, in the order of preference. Default, when empty: each
    /// hub's host, port 9900, namespace `default`. What an flist names as its backend is never
    /// connected to, unless it is listed here.
    pub upstream_zdb: Vec<ZdbAddress>,
    /// What is mirrored. Default: everything.
    pub selection: Selection,
    /// How long what upstream does not list any more is kept; `None` keeps it for ever. Default
    /// 7 days.
    pub delete_after: Option<Duration>,
    /// The share of the entries held here, from 0 to 1, that upstream may stop listing; when more
    /// is missing, nothing is deleted. Default 0.2.
    pub max_delete: f64,
    /// In what form flists are published. Default: verbatim.
    pub flists: FlistMode,
    /// Which blocks are fetched. Default: the closure.
    pub blocks: BlockMode,
    /// Look again whether the blocks of every published flist are here, and fetch those that are
    /// not. This also happens by itself when the store holds fewer blocks than at the last sync.
    /// Default: no.
    pub recheck_blocks: bool,
    /// How long an flist is believed unchanged by its listed size and time alone; then its MD5
    /// is compared once. Default 7 days.
    pub recheck_after: Duration,
    /// What is kept although upstream deletes it. Default: nothing.
    pub pins: Pins,
    /// How many snapshots are kept; 0 makes none. Pinned ones do not count. Default 30.
    pub snapshots: usize,
    /// How long the blocks of flists that are neither published nor in a snapshot any more are spared
    /// by a collection of garbage. Default 7 days.
    pub grace: Duration,
    /// How long to wait for what over HTTP.
    pub http: HttpOptions,
    /// How often a request is tried.
    pub retry: RetryPolicy,
    /// How many HTTP requests are under way at once. Default 16.
    pub parallel: usize,
    /// How much an flist may ask for before it is refused.
    pub limits: Limits,
    /// How blocks are fetched. Its `sources` are not used: see `upstream_zdb`.
    pub fetch: FetchOptions,
}

impl SyncConfig {
    /// Mirrors everything of `upstreams`, with all other settings at their defaults.
    #[must_use]
    pub fn new(upstreams: Vec<Url>) -> Self {
        Self {
            upstreams,
            upstream_zdb: Vec::new(),
            selection: Selection::default(),
            delete_after: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            max_delete: 0.2,
            flists: FlistMode::default(),
            blocks: BlockMode::default(),
            recheck_blocks: false,
            recheck_after: Duration::from_secs(7 * 24 * 60 * 60),
            pins: Pins::default(),
            snapshots: 30,
            grace: Duration::from_secs(7 * 24 * 60 * 60),
            http: HttpOptions::default(),
            retry: RetryPolicy::default(),
            parallel: 16,
            limits: Limits::default(),
            fetch: FetchOptions::new(Vec::new()),
        }
    }

    /// Where blocks come from: `upstream_zdb`, or what the hubs' names stand for. A hub whose host
    /// cannot be a 0-db's is left out.
    #[must_use]
    pub fn block_sources(&self) -> Vec<ZdbAddress> {
        if !self.upstream_zdb.is_empty() {
            return self.upstream_zdb.clone();
        }
        let mut sources: Vec<ZdbAddress> = Vec::new();
        for hub in &self.upstreams {
            let host = hub.host_str().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if let Ok(source) = ZdbAddress::new(host, DEFAULT_PORT, DEFAULT_NAMESPACE)
                && !sources.contains(&source)
            {
                sources.push(source);
            }
        }
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_from_the_hubs_own_0_db_by_default() {
        let hubs = [
            "https://hub.grid.tf/x",
            "http://[::1]:8080",
            "https://hub.grid.tf",
        ];
        let mut config = SyncConfig::new(hubs.map(|hub| hub.parse().unwrap()).to_vec());
        let sources: Vec<_> = config
            .block_sources()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            sources,
            ["zdb://hub.grid.tf:9900/default", "zdb://[::1]:9900/default"]
        );
        config.upstream_zdb = vec!["zdb://other/ns".parse().unwrap()];
        assert_eq!(config.block_sources(), config.upstream_zdb);
    }

    #[test]
    fn forms_differ_by_backend_and_hide_its_password() {
        let backend = |password: &str| {
            let text = format!(r#"{{"host": "h", "port": 1, "password": "{password}"}}"#);
            FlistMode::Rewritten(Backend::from_json(&text).unwrap()).form()
        };
        assert_ne!(backend("secret-a"), backend("secret-b"));
        assert!(!backend("secret-a").contains("secret"));
    }
}

//! What a sync is told.

use std::time::Duration;

use bcm_core::http::{HttpOptions, Url};
use bcm_core::retry::RetryPolicy;

use crate::policy::Policy;
use crate::run_mode::{RunMode, RunModes};

/// What a sync is told.
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// The Bootstraps, in the order of preference. They are expected to serve the same kernels.
    pub upstreams: Vec<Url>,
    /// Which kernels are mirrored.
    pub policy: Policy,
    /// The run modes whose links are mirrored. Default: those of [`RunModes::default`].
    pub modes: Vec<RunMode>,
    /// How long a kernel that is not wanted any more is kept; `None` keeps it for ever. Default 7
    /// days.
    pub delete_after: Option<Duration>,
    /// The share of the kernels held here, from 0 to 1, that upstream may stop listing; when more
    /// is missing, nothing is deleted. Default 0.2.
    pub max_delete: f64,
    /// How long a kernel is believed unchanged by its listed time alone; then upstream is asked
    /// about it once. Default 7 days.
    pub recheck_after: Duration,
    /// How many kernels are downloaded at once. Default 4.
    pub parallel: usize,
    /// The largest kernel that is taken, in bytes. Default 1 GiB.
    pub max_size: u64,
    /// How long to wait for what over HTTP.
    pub http: HttpOptions,
    /// How often a request is tried.
    pub retry: RetryPolicy,
}

impl SyncConfig {
    /// Mirrors `upstreams`, with all other settings at their defaults.
    #[must_use]
    pub fn new(upstreams: Vec<Url>) -> Self {
        const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
        Self {
            upstreams,
            policy: Policy::default(),
            modes: RunModes::default()
                .iter()
                .map(|(mode, _)| mode.clone())
                .collect(),
            delete_after: Some(WEEK),
            max_delete: 0.2,
            recheck_after: WEEK,
            parallel: 4,
            max_size: 1 << 30,
            http: HttpOptions::default(),
            retry: RetryPolicy::default(),
        }
    }
}

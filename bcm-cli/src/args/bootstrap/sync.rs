//! `bcm bootstrap sync`.

use std::time::Duration;

use bcm_bootstrap_sync::kernel::KernelName;
use bcm_bootstrap_sync::run_mode::RunMode;
use bcm_core::http::Url;
use clap::Args;

use crate::args::hub::DataArgs;
use crate::settings::key::bootstrap_url;
use crate::settings::value::{self, DeleteAfter, Window};

/// `bcm bootstrap sync`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SyncCommand {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) sync: SyncArgs,

    /// Show what would be done, and do nothing
    #[arg(long, conflicts_with = "follow")]
    pub(crate) dry_run: bool,

    /// Go on: sync again and again until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,

    /// With --follow: the pause between two syncs
    #[arg(long, value_name = "TIME", value_parser = value::pause)]
    pub(crate) interval: Option<Duration>,
}

/// What to mirror, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Mirroring")]
pub(crate) struct SyncArgs {
    /// The bootstrap to mirror; several are tried in order
    #[arg(long, value_name = "URL", value_parser = bootstrap_url)]
    pub(crate) upstream: Vec<Url>,

    /// Only kernels that are at most this old: 90d, 52w, all
    ///
    /// A kernel that a run mode leads to is mirrored in any case.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Window>,

    /// Only so many kernels, the newest
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) newest: Option<usize>,

    /// Only kernels whose name matches
    #[arg(long, value_name = "GLOB", value_parser = value::glob)]
    pub(crate) name: Vec<String>,

    /// A kernel to mirror in any case
    #[arg(long, value_name = "NAME", value_parser = |text: &str| KernelName::new(text))]
    pub(crate) keep: Vec<KernelName>,

    /// The run modes to mirror, each NAME or NAME=TITLE
    #[arg(long, value_name = "MODE", value_parser = value::run_mode)]
    pub(crate) run_mode: Vec<(RunMode, String)>,

    /// How long a kernel that is not wanted any more is kept: 90s, 12h, 7d, 2w, never
    #[arg(long, value_name = "TIME")]
    pub(crate) delete_after: Option<DeleteAfter>,

    /// Delete nothing when more than this share of the kernels is missing upstream at once
    #[arg(long, value_name = "SHARE", value_parser = value::share)]
    pub(crate) max_delete: Option<f64>,

    /// How many kernels are downloaded at a time
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) parallel: Option<usize>,

    /// How long a connection to an upstream may take to be made
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// How long an upstream that is connected to may say nothing
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub(crate) timeout: Option<Duration>,

    /// How often a request to an upstream is tried before it counts as failed
    #[arg(long, value_name = "N", value_parser = value::count)]
    pub(crate) attempts: Option<usize>,
}

//! Makes the mirror equal to what is wanted of its upstream.
//!
//! ```no_run
//! use bcm_bootstrap_sync::layout::Layout;
//! use bcm_bootstrap_sync::sync::{SyncConfig, sync};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = SyncConfig::new(vec!["https://bootstrap.grid.tf".parse()?]);
//! let layout = Layout::new("/srv/bcm");
//! let progress = bcm_core::progress::none();
//! let report = sync(&layout, &config, progress, CancellationToken::new()).await?;
//! println!("{} new kernels", report.counts.new);
//! # Ok(()) }
//! ```
//!
//! A kernel is published as soon as it is whole, checked and on the disk; the links of run modes are
//! turned when all kernels are there; what is not wanted any more goes last, after its time of
//! grace. What is known of each kernel is noted after it was published: a crash in between
//! costs a request, not a kernel.

mod adopt;
mod config;
mod download;
mod dry_run;
mod error;
pub mod estimate;
mod follow;
mod links;
pub(crate) mod plan;
mod run;
pub(crate) mod staged;
mod writing;

pub use config::SyncConfig;
pub use dry_run::{LinkPlan, Plan, plan};
pub use error::SyncError;
pub use estimate::{Estimate, estimate};
pub use follow::{FollowOptions, follow};
pub use plan::Fetch;
pub(crate) use run::now;
pub use run::sync;

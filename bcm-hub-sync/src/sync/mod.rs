//! Makes a local mirror equal to its upstream.
//!
//! [`sync()`] lists the upstream, compares ([`plan()`] ends here), stages flists and fetches their
//! blocks, and publishes what is complete. Nothing is visible before all of its blocks are in the
//! store, and no link before what it leads to.

pub mod blocks;
mod config;
mod error;
pub mod estimate;
mod follow;
pub mod history;
mod memory;
mod namespace;
mod plan;
mod publication;
pub(crate) mod publish;
pub(crate) mod refetch;
pub mod report;
pub(crate) mod restoring;
mod run;
mod stage;
pub mod state;

pub use config::{BlockMode, FlistMode, SyncConfig};
pub use error::SyncError;
pub(crate) use error::is_full;
pub use estimate::{Estimate, estimate};
pub use follow::{FollowEvent, FollowOptions, FollowStatus, Follower, OpenStore, follow};
pub(crate) use plan::now;
pub use plan::{Plan, PlannedFlist, PlannedLink};
pub use publish::PublishError;
pub use report::{Counts, Refused, SyncOutcome, SyncReport};
pub use run::{plan, sync};

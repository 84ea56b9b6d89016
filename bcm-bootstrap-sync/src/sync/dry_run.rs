//! What a sync would do, without doing it.

use bcm_core::deletion::Guard;
use bcm_core::refused::Refused;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::config::SyncConfig;
use super::error::SyncError;
use super::links;
use super::plan::{Fetch, Gone, Kernels};
use super::run::Work;
use crate::kernel::KernelName;
use crate::layout::Layout;
use crate::run_mode::RunMode;

/// What a sync would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The upstream that the list came from.
    pub upstream: String,
    /// Kernels to fetch or to ask about.
    pub fetch: Vec<Fetch>,
    /// How many are as they should be.
    pub unchanged: u64,
    /// What would become of the run modes.
    pub links: Vec<LinkPlan>,
    /// Kernels that would be deleted. One that a run mode turns out to lead to is spared.
    pub deletions: Vec<KernelName>,
    /// Kernels that are not wanted any more, kept for the time of grace.
    pub awaiting_deletion: Vec<KernelName>,
    /// What was refused and why: the first ones.
    pub refused: Vec<Refused>,
    /// How many were refused in all.
    pub refused_total: u64,
    /// Why nothing would be deleted, where too much is missing.
    pub guard: Option<Guard>,
    /// Whether everything already is as it should be.
    pub nothing_to_do: bool,
}

/// What would become of a run mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkPlan {
    /// Which.
    pub mode: RunMode,
    /// What it leads to here.
    pub now: Option<KernelName>,
    /// Whether upstream has another version than before. Which kernel that is shows when it has been
    /// fetched.
    pub moved: bool,
    /// Whether it stays here in any case.
    pub pinned: bool,
}

/// What [`sync()`](super::sync()) would do. Nothing is changed; upstream is asked for its list, and whether run
/// modes have moved.
///
/// # Errors
/// As [`sync()`](super::sync()).
pub async fn plan(
    layout: &Layout,
    config: &SyncConfig,
    cancel: CancellationToken,
) -> Result<Plan, SyncError> {
    let run = async {
        let work = Work::begin(layout, config).await?;
        let Kernels {
            fetch, unchanged, ..
        } = work.kernels();
        let wanted = work.wanted(&fetch, &unchanged);
        let Gone {
            deletions,
            tombstones,
            guard,
        } = work.gone(&wanted);
        let links = links::look(&work).await;
        let nothing_to_do = fetch.is_empty()
            && deletions.is_empty()
            && tombstones.keys().eq(work.manifest.tombstones.keys())
            && links.iter().all(|link| !link.moved)
            && work.report.refused_total == 0;
        Ok(Plan {
            upstream: work.report.upstream,
            fetch,
            unchanged: unchanged.len() as u64,
            links,
            deletions,
            awaiting_deletion: tombstones.into_keys().collect(),
            refused: work.report.refused,
            refused_total: work.report.refused_total,
            guard,
            nothing_to_do,
        })
    };
    match cancel.run_until_cancelled(run).await {
        Some(result) => result,
        None => Err(SyncError::Cancelled),
    }
}

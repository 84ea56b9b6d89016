//! What a sync did, for people and for programs.

use bcm_core::deletion::Guard;
use bcm_core::refused::Refused;
use serde::{Deserialize, Serialize};

use crate::kernel::KernelName;
use crate::run_mode::RunMode;

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    /// The mirror is equal to what is wanted of upstream.
    Complete,
    /// Some kernels or run modes failed and are named; the others are in step.
    Partial,
}

/// Why a kernel is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is not here.
    New,
    /// Upstream lists it with another time: it was published again under its name.
    Republished,
    /// The file here is not the one that was published.
    Damaged,
    /// Upstream has not been asked about it for long.
    Recheck,
}

/// A run mode that leads to another kernel than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which.
    pub mode: RunMode,
    /// What it led to; none if it is new.
    pub from: Option<KernelName>,
    /// What it leads to.
    pub to: KernelName,
}

/// A run mode that is pinned here to another kernel than upstream has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// Which.
    pub mode: RunMode,
    /// What it leads to here.
    pub kernel: KernelName,
    /// What it leads to upstream.
    pub upstream: KernelName,
}

/// A kernel that was published again under its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Which.
    pub name: KernelName,
    /// The content before, as SHA-256.
    pub from: String,
    /// The content now.
    pub to: String,
}

/// Numbers of a sync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Kernels that were not here before.
    pub new: u64,
    /// Kernels whose content is another one now.
    pub changed: u64,
    /// Kernels that were as they should be.
    pub unchanged: u64,
    /// Kernels that were deleted.
    pub deleted: u64,
    /// Kernels that are not wanted any more, kept for the time of grace.
    pub awaiting_deletion: u64,
    /// Bytes that were downloaded.
    pub bytes: u64,
    /// Bytes of these downloads that an earlier sync had already fetched.
    pub resumed_bytes: u64,
}

/// What is remembered of a sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How it ended.
    pub outcome: SyncOutcome,
    /// When it started, in seconds since 1970.
    pub started: i64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Its numbers.
    pub counts: Counts,
    /// How many entries were refused.
    pub refused: u64,
    /// Why nothing was deleted, where too much was missing.
    pub guard: Option<Guard>,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// How it ended.
    pub outcome: SyncOutcome,
    /// The upstream that the list came from.
    pub upstream: String,
    /// When it started, in seconds since 1970.
    pub started: i64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether everything already was as it should be.
    pub nothing_to_do: bool,
    /// Its numbers.
    pub counts: Counts,
    /// Kernels that were not here before.
    pub new: Vec<KernelName>,
    /// Kernels that were published again under their names.
    pub replaced: Vec<Replaced>,
    /// Kernels that were deleted.
    pub deleted: Vec<KernelName>,
    /// Kernels that are not wanted any more, kept for the time of grace.
    pub awaiting_deletion: Vec<KernelName>,
    /// Run modes that lead elsewhere than before.
    pub moved: Vec<Moved>,
    /// Run modes that are pinned here and lead elsewhere upstream.
    pub pinned: Vec<Pinned>,
    /// What was refused and why: the first ones.
    pub refused: Vec<Refused>,
    /// How many were refused in all.
    pub refused_total: u64,
    /// What else is worth knowing.
    pub warnings: Vec<String>,
    /// Why nothing was deleted, where too much was missing.
    pub guard: Option<Guard>,
}

impl SyncReport {
    /// What is remembered of it.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            outcome: self.outcome,
            started: self.started,
            seconds: self.seconds,
            counts: self.counts,
            refused: self.refused_total,
            guard: self.guard.clone(),
        }
    }
}

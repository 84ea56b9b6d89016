//! What a sync did, for people and for programs.

use bcm_core::deletion::Guard;
use serde::{Deserialize, Serialize};

pub use crate::catalog::upstream::{MAX_NAMED, Refusals, Refused};

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    /// The mirror is equal to upstream.
    Complete,
    /// Some entries failed and are named; the others are equal to upstream.
    Partial,
}

/// Numbers of a sync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Repositories that are mirrored.
    pub repositories: u64,
    /// Flists that were not here before.
    pub flists_new: u64,
    /// Flists that took the place of another version.
    pub flists_changed: u64,
    /// Flists that were as they should be.
    pub flists_unchanged: u64,
    /// Links that were made or turned.
    pub links: u64,
    /// Tags that were made or replaced.
    pub tags: u64,
    /// Links to tags that were made or turned.
    pub taglinks: u64,
    /// Entries, tags and repositories that were deleted.
    pub deleted: u64,
    /// Entries that upstream does not list any more, kept for the time of grace.
    pub awaiting_deletion: u64,
    /// Bytes of flists that were downloaded.
    pub flist_bytes: u64,
    /// Blocks that were fetched.
    pub blocks: u64,
    /// Bytes of blocks that were fetched.
    pub block_bytes: u64,
    /// With [`BlockMode::All`](super::BlockMode::All): blocks that were deleted.
    pub blocks_deleted: u64,
    /// With [`BlockMode::All`](super::BlockMode::All): blocks that are gone upstream, kept for the
    /// time of grace or because a published flist names them.
    pub blocks_awaiting_deletion: u64,
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
    /// How many entries are deferred.
    pub deferred: u64,
    /// Why nothing was deleted, where too much was missing.
    pub guard: Option<Guard>,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// How it ended.
    pub outcome: SyncOutcome,
    /// The hub that the catalogue came from.
    pub upstream: String,
    /// When it started, in seconds since 1970.
    pub started: i64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether the tree was already equal to upstream and nothing was changed.
    pub nothing_to_do: bool,
    /// Its numbers.
    pub counts: Counts,
    /// What was refused and why: the first [`MAX_NAMED`].
    pub refused: Vec<Refused>,
    /// How many were refused in all.
    pub refused_total: u64,
    /// What is not published yet, or stays as it was, because something that it needs failed: the
    /// first [`MAX_NAMED`].
    pub deferred: Vec<Refused>,
    /// How many are deferred in all.
    pub deferred_total: u64,
    /// What else is worth knowing.
    pub warnings: Vec<String>,
    /// Why nothing was deleted, where too much was missing.
    pub guard: Option<Guard>,
    /// The snapshot of the tree as it is now, where the sync changed something.
    #[serde(default)]
    pub snapshot: Option<String>,
}

impl SyncReport {
    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> SyncOutcome {
        self.outcome
    }

    /// What is remembered of it.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            outcome: self.outcome,
            started: self.started,
            seconds: self.seconds,
            counts: self.counts,
            refused: self.refused_total,
            deferred: self.deferred_total,
            guard: self.guard.clone(),
        }
    }
}

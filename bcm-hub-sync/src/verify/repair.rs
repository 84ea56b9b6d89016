//! Fetches again what a verification found to be damaged or missing.

use std::sync::Arc;

use bcm_core::lock::{FolderLock, LockError};
use bcm_core::progress::SharedProgress;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{VerifyError, VerifyOptions, VerifyReport, verify};
use crate::catalog::Item;
use crate::layout::Layout;
use crate::snapshots;
use crate::store::BlockStore;
use crate::sync::refetch::refetch;
use crate::sync::state::{State, StateError};
use crate::sync::{SyncConfig, SyncError, SyncReport, sync};

/// What a repair found, did, and left.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// What was found.
    pub found: VerifyReport,
    /// What was fetched, where something had to be.
    pub sync: Option<SyncReport>,
    /// What is left, where something was fetched.
    pub left: Option<VerifyReport>,
}

impl RepairReport {
    /// Whether nothing is damaged any more.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.left.as_ref().unwrap_or(&self.found).is_clean()
    }
}

/// A repair could not be done to the end. What was fetched until then is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The mirror could not be verified.
    #[error("the mirror could not be verified")]
    Verify(#[from] VerifyError),
    /// Somebody else writes into the data folder.
    #[error("the data folder could not be locked")]
    Lock(#[from] LockError),
    /// What the syncs remember cannot be used.
    #[error("what the syncs remember cannot be used")]
    State(#[from] StateError),
    /// What is damaged could not be fetched again.
    #[error("what is damaged could not be fetched again")]
    Sync(#[from] SyncError),
}

impl RepairError {
    /// Whether the caller had asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Verify(VerifyError::Cancelled) | Self::Sync(SyncError::Cancelled)
        )
    }
}

/// Verifies the mirror and fetches what is damaged or missing again, by a sync that looks at all
/// blocks: `config` has to be what the mirror is synced with. Blocks of flists that upstream does not
/// list any more and that are kept are asked for, too. Then it is verified once more. What upstream
/// has no more of cannot be had again; it is what is left.
///
/// Cancel safety: as for [`sync()`].
///
/// # Errors
/// Verifying or syncing could not go on, or `cancel` was cancelled.
pub async fn repair(
    layout: &Layout,
    store: Arc<dyn BlockStore>,
    options: &VerifyOptions,
    config: &SyncConfig,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<RepairReport, RepairError> {
    let mut options = options.clone();
    options.remove_damaged = true;
    let again = |options: VerifyOptions| {
        let (store, progress) = (Arc::clone(&store), Arc::clone(&progress));
        let cancel = cancel.clone();
        async move { verify(layout, store, &options, progress, cancel).await }
    };
    let found = again(options.clone()).await?;
    if found.is_clean() {
        return Ok(RepairReport {
            found,
            sync: None,
            left: None,
        });
    }
    forget(layout, &found)?;
    let mut config = config.clone();
    config.recheck_blocks = true;
    let (own_store, watched) = (Arc::clone(&store), Arc::clone(&progress));
    let report = sync(layout, &config, own_store, watched, cancel.clone()).await?;
    refetch(
        layout,
        &config,
        &store,
        Arc::clone(&progress),
        cancel.clone(),
    )
    .await?;
    let left = again(options).await?;
    Ok(RepairReport {
        found,
        sync: Some(report),
        left: Some(left),
    })
}

/// Makes the next sync fetch the flists that are damaged themselves.
fn forget(layout: &Layout, found: &VerifyReport) -> Result<(), RepairError> {
    if found.broken.is_empty() {
        return Ok(());
    }
    let _lock = FolderLock::acquire(&layout.lock())?;
    let mut state = State::load(&layout.state())?.state;
    for place in &found.broken {
        if let Some(record) = state.memory.flists.get(place) {
            // The same file, by another name.
            snapshots::forget_content(layout, &record.file_md5);
        }
        state.forget(&Item::Entry(place.clone()));
    }
    Ok(state.save(&layout.state())?)
}

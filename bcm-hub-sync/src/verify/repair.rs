//! Fetches again what a verification found to be damaged or missing.

use std::sync::Arc;

use bcm_core::lock::{FolderLock, LockError};
use bcm_core::progress::SharedProgress;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{VerifyError, VerifyOptions, VerifyReport, verify};
use crate::catalog::Item;
use crate::folder::{Folder, FolderError, Kind};
use crate::layout::Layout;
use crate::mode::Mode;
use crate::snapshots;
use crate::store::BlockStore;
use crate::sync::refetch::refetch;
use crate::sync::state::{State, StateError};
use crate::sync::{SyncConfig, SyncError, SyncOutcome, SyncReport, sync};

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

    /// Whether the sync that fetched refused nothing and left nothing out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let sync = self.sync.as_ref();
        sync.is_none_or(|sync| sync.outcome == SyncOutcome::Complete)
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
/// list any more and that are kept are asked for, too. A link in the place of a repository's or a tag's
/// folder is removed. Then it is verified once more. In a hub that stands alone only replicas mend.
/// What upstream has no more of cannot be had again; it is what is left.
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
    let mode = Mode::of(layout).map_err(SyncError::from)?;
    let mut options = options.clone();
    // Nothing is removed that nobody can give back.
    options.remove_damaged = mode == Mode::Mirror;
    let again = |options: VerifyOptions| {
        let (store, progress) = (Arc::clone(&store), Arc::clone(&progress));
        let cancel = cancel.clone();
        async move { verify(layout, store, &options, progress, cancel).await }
    };
    let found = again(options.clone()).await?;
    // Without an upstream, what replicas cannot mend stays as it is.
    if found.is_clean() || mode != Mode::Mirror {
        return Ok(RepairReport {
            found,
            sync: None,
            left: None,
        });
    }
    let before = prepare(layout, &found)?;
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
    remember(layout, &found.gone, &before)?;
    let left = again(options).await?;
    Ok(RepairReport {
        found,
        sync: Some(report),
        left: Some(left),
    })
}

/// Makes the next sync fetch the flists that are damaged themselves, and removes links that were
/// planted in the place of a folder: a sync leaves those alone. Answers with what was remembered.
fn prepare(layout: &Layout, found: &VerifyReport) -> Result<State, RepairError> {
    let _lock = FolderLock::acquire(&layout.lock())?;
    remove_planted(layout, &found.gone).map_err(|error| VerifyError::Io {
        operation: error.operation,
        path: error.path,
        source: error.source,
    })?;
    let mut state = State::load(&layout.state())?.state;
    if found.broken.is_empty() {
        return Ok(state);
    }
    for place in &found.broken {
        if let Some(record) = state.memory.flists.get_mut(place) {
            // The same file, by another name.
            snapshots::forget_damaged(layout, &record.file_md5);
            record.doubt();
        }
    }
    state.save(&layout.state())?;
    Ok(state)
}

fn remove_planted(layout: &Layout, gone: &[Item]) -> Result<(), FolderError> {
    let Some(users) = Folder::open(&layout.users())? else {
        return Ok(());
    };
    let remove_link = |folder: &Folder, name: &str| match folder.look(name)? {
        Some(seen) if seen.kind == Kind::Link => folder.remove(name),
        _ => Ok(()),
    };
    for item in gone {
        match item {
            Item::Repository(name) => remove_link(&users, name.as_str())?,
            Item::Tag(place) => {
                if let Some(home) = users.child_if_folder(place.repository.as_str())? {
                    remove_link(&home, &place.tag.folder())?;
                }
            }
            // A sync replaces these.
            Item::Entry(_) => {}
        }
    }
    Ok(())
}

/// Keeps in mind what is still gone and upstream does not list any more, which the sync has
/// forgotten: this repair has to name it.
fn remember(layout: &Layout, gone: &[Item], before: &State) -> Result<(), RepairError> {
    let _lock = FolderLock::acquire(&layout.lock())?;
    let mut state = State::load(&layout.state())?.state;
    let forgotten: Vec<&Item> = gone.iter().filter(|item| !state.names(item)).collect();
    if forgotten.is_empty() {
        return Ok(());
    }
    for item in forgotten {
        state.keep_as_before(item, before);
    }
    Ok(state.save(&layout.state())?)
}

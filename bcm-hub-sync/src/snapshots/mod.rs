//! Named points that a mirror can be taken back to.
//!
//! A snapshot is a manifest: the whole catalogue as it was published, and the MD5 of every flist. The
//! flists themselves lie once each in a folder beside the manifests, under their MD5, as hard links
//! of the published files, so a snapshot of an unchanged flist takes no room. Blocks are not
//! copied: collecting garbage spares those that any flist in that folder names.
//!
//! ```text
//! hub/snapshots/NAME.json      a manifest
//! hub/snapshots/NAME.pin       there while the snapshot is pinned
//! hub/snapshots/last           which change of the tree the last snapshot was of
//! hub/snapshots/flists/MD5     the flists of all snapshots
//! ```

mod contents;
mod error;
mod manifest;
mod restore;
mod take;

use bcm_core::atomic_file;
use bcm_core::lock::FolderLock;
use serde::Serialize;

use crate::layout::Layout;
use crate::sync::state::State;
use manifest::Manifest;

pub(crate) use contents::{forget_damaged, keep_replaced, sweep, unpublished};
pub use error::SnapshotError;
pub use restore::{Restored, restore};
pub(crate) use take::after_sync;

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its name: the time when it was made, `20261122-052031` in UTC.
    pub name: String,
    /// When it was made, in seconds since 1970.
    pub made: i64,
    /// Whether it is kept until it is unpinned.
    pub pinned: bool,
    /// Whether it was restored, and syncs wait for its release.
    pub held: bool,
    /// Repositories in it.
    pub repositories: u64,
    /// Flists in it.
    pub flists: u64,
    /// Set where its manifest is damaged: what is wrong with it.
    pub damaged: Option<String>,
}

/// All snapshots, the oldest first.
///
/// # Errors
/// Their folder cannot be read.
pub fn list(layout: &Layout) -> Result<Vec<Snapshot>, SnapshotError> {
    let held = State::load(&layout.state())?.state.held;
    let names = manifest::names(layout)?;
    let one = |name: String| {
        let (pinned, held) = (is_pinned(layout, &name), held.as_ref() == Some(&name));
        match Manifest::read(layout, &name) {
            Ok(manifest) => Snapshot {
                made: manifest.made,
                repositories: manifest.catalog.repositories.len() as u64,
                flists: manifest.flists.len() as u64,
                damaged: None,
                name,
                pinned,
                held,
            },
            Err(error) => Snapshot {
                made: 0,
                repositories: 0,
                flists: 0,
                damaged: Some(error.to_string()),
                name,
                pinned,
                held,
            },
        }
    };
    Ok(names.into_iter().map(one).collect())
}

fn is_pinned(layout: &Layout, name: &str) -> bool {
    manifest::pin_of(layout, name).exists()
}

/// Keeps a snapshot until it is unpinned.
///
/// # Errors
/// There is no such snapshot, or the pin cannot be written.
pub fn pin(layout: &Layout, name: &str) -> Result<(), SnapshotError> {
    known(layout, name)?;
    atomic_file::write(&manifest::pin_of(layout, name), b"", 0o644)?;
    Ok(())
}

/// Lets a snapshot expire again.
///
/// # Errors
/// There is no such snapshot, or the pin cannot be removed.
pub fn unpin(layout: &Layout, name: &str) -> Result<(), SnapshotError> {
    known(layout, name)?;
    remove(&manifest::pin_of(layout, name))
}

/// Forgets a snapshot. What only it needs goes with the next collection of garbage.
///
/// # Errors
/// There is no such snapshot, it is pinned, a sync runs, or it cannot be removed.
pub fn drop(layout: &Layout, name: &str) -> Result<(), SnapshotError> {
    known(layout, name)?;
    if is_pinned(layout, name) {
        let name = name.to_owned();
        return Err(SnapshotError::Pinned { name });
    }
    let _lock = FolderLock::acquire(&layout.lock())?;
    remove(&manifest::path_of(layout, name))
}

/// Lets syncs go on after a snapshot was restored. Answers with the snapshot's name, if there was one.
///
/// # Errors
/// A sync runs, or the state cannot be read or written.
pub fn release(layout: &Layout) -> Result<Option<String>, SnapshotError> {
    if !layout.state().exists() {
        return Ok(None);
    }
    let _lock = FolderLock::acquire(&layout.lock())?;
    let mut state = State::load(&layout.state())?.state;
    let held = state.held.take();
    if held.is_some() {
        state.save(&layout.state())?;
    }
    Ok(held)
}

fn known(layout: &Layout, name: &str) -> Result<(), SnapshotError> {
    match manifest::is_name(name) && manifest::path_of(layout, name).is_file() {
        true => Ok(()),
        false => Err(SnapshotError::Unknown {
            name: name.to_owned(),
        }),
    }
}

fn remove(path: &std::path::Path) -> Result<(), SnapshotError> {
    atomic_file::remove_if_there(path).map_err(SnapshotError::io("remove", path))
}

#[cfg(test)]
mod tests;

//! Why something could not be done with snapshots.

use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::AtomicFileError;
use bcm_core::lock::LockError;

use crate::catalog::local::LocalError;
use crate::folder::FolderError;
use crate::mode::ModeFileError;
use crate::sync::state::StateError;
use crate::sync::{PublishError, SyncError};

/// Something could not be done with snapshots. What is published is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There is none of that name.
    #[error("there is no snapshot {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// It is pinned.
    #[error("the snapshot {name} is pinned")]
    Pinned {
        /// The name.
        name: String,
    },
    /// Its manifest is not what was written.
    #[error("the snapshot's manifest {} is damaged: {why}", path.display())]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Not all that it is made of is here any more.
    #[error(
        "the snapshot {name} cannot be restored: {count} of its flists are not whole, such as {first}"
    )]
    Incomplete {
        /// The snapshot.
        name: String,
        /// How many.
        count: usize,
        /// One of them, and what is wrong with it.
        first: String,
    },
    /// Somebody else writes into the data folder.
    #[error("the data folder could not be locked")]
    Lock(#[from] LockError),
    /// The published tree cannot be read.
    #[error("the published tree cannot be read")]
    Local(#[from] LocalError),
    /// What syncs remember cannot be used.
    #[error("what the syncs remember cannot be used")]
    State(#[from] StateError),
    /// What this hub is cannot be told.
    #[error("what this hub is cannot be told")]
    Mode(#[from] ModeFileError),
    /// A file could not be written.
    #[error("the snapshot could not be written down")]
    Write(#[from] AtomicFileError),
    /// It could not be published.
    #[error("the snapshot could not be published")]
    Publish(#[from] PublishError),
    /// Its flists could not be made ready.
    #[error("the snapshot could not be made ready")]
    Stage(#[source] Box<SyncError>),
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl SnapshotError {
    /// For `map_err`: `operation` on `path` failed.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<FolderError> for SnapshotError {
    fn from(error: FolderError) -> Self {
        Self::Io {
            operation: error.operation,
            path: error.path,
            source: error.source,
        }
    }
}

impl From<SyncError> for SnapshotError {
    fn from(error: SyncError) -> Self {
        Self::Stage(Box::new(error))
    }
}

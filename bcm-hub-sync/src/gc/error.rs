//! Why garbage could not be collected.

use std::io;
use std::path::{Path, PathBuf};

use bcm_core::lock::LockError;

use crate::catalog::local::LocalError;
use crate::flist::FlistError;
use crate::snapshots::SnapshotError;
use crate::store::StoreError;
use crate::sync::state::StateError;

/// Garbage could not be collected. No block that anything needs was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GcError {
    /// There is no mirror; a mistyped folder is not made one.
    #[error("{} holds no mirror", path.display())]
    NoMirror {
        /// The data folder.
        path: PathBuf,
    },
    /// Somebody else writes into the data folder.
    #[error("the data folder could not be locked")]
    Lock(#[from] LockError),
    /// The published tree cannot be read.
    #[error("the published tree cannot be read")]
    Local(#[from] LocalError),
    /// What the syncs remember cannot be used.
    #[error("what the syncs remember cannot be used")]
    State(#[from] StateError),
    /// The snapshots cannot be read.
    #[error("the snapshots cannot be read")]
    Snapshots(#[from] SnapshotError),
    /// The store failed.
    #[error("the block store failed")]
    Store(#[from] StoreError),
    /// Nobody knows which blocks an flist needs that cannot be read, so nothing is removed.
    #[error("{} cannot be read, so nobody knows which blocks it needs", path.display())]
    Flist {
        /// The flist.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<FlistError>,
    },
    /// An flist is gone that was published, and with it the knowledge of its blocks.
    #[error("{place} was published and is gone, so nobody knows which blocks it needs")]
    Gone {
        /// Which.
        place: String,
    },
    /// No flist is here, and blocks are: that looks like a lost tree, not like garbage.
    #[error(
        "there are {blocks} blocks and not a single flist: the published tree seems to be lost"
    )]
    NoFlists {
        /// How many blocks.
        blocks: u64,
    },
    /// The whole namespace is mirrored, so every block is wanted; a sync deletes what upstream has
    /// deleted.
    #[error("the whole namespace is mirrored: no block is garbage as long as upstream has it")]
    WholeNamespace,
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
    /// The caller asked to stop.
    #[error("it was interrupted; what is left goes the next time")]
    Cancelled,
    /// A part of the program failed.
    #[error("a part of the collection failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl GcError {
    /// For `map_err`: `operation` on `path` failed.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

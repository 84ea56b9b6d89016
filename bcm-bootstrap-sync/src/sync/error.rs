//! Why a sync could not go on.

use std::io;
use std::path::PathBuf;

use bcm_core::http::HttpError;
use bcm_core::lock::LockError;

use crate::local::LocalError;
use crate::manifest::ManifestError;
use crate::upstream::ListError;

/// A sync could not go on. What was published before is untouched, and what was fetched is used
/// by the next sync.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// No upstream is configured.
    #[error("there is no upstream to sync from")]
    NoUpstream,
    /// Somebody else writes into the data folder.
    #[error("the data folder could not be locked")]
    Lock(#[from] LockError),
    /// The data folder cannot be read or written.
    #[error(transparent)]
    Local(LocalError),
    /// The disk is full.
    #[error("there is no room left on the disk of {}", path.display())]
    Full {
        /// What could not be written, or the data folder.
        path: PathBuf,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The manifest cannot be used.
    #[error("what earlier syncs noted cannot be used")]
    Manifest(#[from] ManifestError),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] HttpError),
    /// No upstream could be listed.
    #[error("no upstream's list of kernels could be read")]
    List(#[from] ListError),
    /// The caller asked to stop.
    #[error("the sync was interrupted; the next one goes on with what was fetched")]
    Cancelled,
    /// A part of the program failed.
    #[error("a part of the sync failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl From<LocalError> for SyncError {
    fn from(error: LocalError) -> Self {
        if is_full(&error) {
            Self::Full {
                path: error.path.clone(),
                source: Box::new(error),
            }
        } else {
            Self::Local(error)
        }
    }
}

impl SyncError {
    /// Whether another process writes to the data folder just now.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Lock(LockError::Held { .. }))
    }
}

/// Whether a full disk is behind `error`.
pub(crate) fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        next = error.source();
    }
    false
}

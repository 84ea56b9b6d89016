//! Why a sync could not go on.

use std::io;
use std::path::{Path, PathBuf};

use bcm_core::lock::LockError;

use super::publish::PublishError;
use super::state::StateError;
use crate::catalog::local::LocalError;
use crate::catalog::upstream::{ListError, UpstreamError};
use crate::mode::{Mode, ModeFileError};
use crate::store::StoreError;
use bcm_core::cause::chain;

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
    /// The disk is full.
    #[error("there is no room left on the disk of {}", path.display())]
    Full {
        /// The data folder.
        path: PathBuf,
        /// What could not be written.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The state file cannot be used.
    #[error("the state of earlier syncs cannot be used")]
    State(#[from] StateError),
    /// The published tree cannot be read.
    #[error("the published tree cannot be read")]
    Local(#[from] LocalError),
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] UpstreamError),
    /// No upstream could be listed.
    #[error("the upstream's catalogue could not be read")]
    List(#[from] ListError),
    /// The block store failed.
    #[error("the block store failed")]
    Store(#[from] StoreError),
    /// What was synced could not be published.
    #[error("what was synced could not be published")]
    Publish(#[from] PublishError),
    /// A snapshot was restored and not released yet.
    #[error("the mirror is held at the snapshot {snapshot}")]
    Held {
        /// The snapshot.
        snapshot: String,
    },
    /// This hub is no mirror, or none any more.
    #[error("{} is {mode}: it stands alone and follows no upstream", path.display())]
    StandsAlone {
        /// The data folder.
        path: PathBuf,
        /// What it is.
        mode: Mode,
    },
    /// What this hub is cannot be told.
    #[error("what this hub is cannot be told")]
    Mode(#[from] ModeFileError),
    /// The caller asked to stop.
    #[error("the sync was interrupted; the next one goes on with what was fetched")]
    Cancelled,
    /// A part of the program failed.
    #[error("a part of the sync failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl SyncError {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
        .or_full(path)
    }

    /// This error with all that caused it, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// Whether somebody else is writing to the data folder just now.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Lock(LockError::Held { .. }) | Self::Store(StoreError::InUse { .. })
        )
    }

    /// Whether syncs are held back until an operator says otherwise.
    #[must_use]
    pub fn waits_for_operator(&self) -> bool {
        matches!(self, Self::Held { .. } | Self::StandsAlone { .. })
    }

    /// This error, or [`SyncError::Full`] where a full disk is what is behind it.
    pub(crate) fn or_full(self, data: &Path) -> Self {
        if matches!(self, Self::Full { .. }) || !is_full(&self) {
            return self;
        }
        Self::Full {
            path: data.to_owned(),
            source: Box::new(self),
        }
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

/// What stops one flist, or all of them.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This one is refused, for this reason.
    Entry(String),
    /// The sync cannot go on.
    All(SyncError),
}

impl From<SyncError> for Stop {
    fn from(error: SyncError) -> Self {
        Self::All(error)
    }
}

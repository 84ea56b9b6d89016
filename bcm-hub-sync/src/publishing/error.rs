//! Why something could not be published.

use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::AtomicFileError;
use bcm_core::lock::LockError;

use crate::block::BlockKey;
use crate::catalog::local::LocalError;
use crate::catalog::{FlistRef, Item};
use crate::flist::{FlistError, PackError};
use crate::folder::FolderError;
use crate::mode::ModeFileError;
use crate::snapshots::SnapshotError;
use crate::store::StoreError;
use crate::sync::state::StateError;
use crate::sync::{PublishError, SyncError, is_full};

/// Something could not be published. What was published before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishingError {
    /// It is a mirror, which only its upstream changes.
    #[error("{} is a mirror, which only its upstream changes", path.display())]
    Mirror {
        /// The data folder.
        path: PathBuf,
    },
    /// What the hub is cannot be told.
    #[error("what this hub is cannot be told")]
    Mode(#[from] ModeFileError),
    /// Somebody else writes into the data folder.
    #[error("the data folder could not be locked")]
    Lock(#[from] LockError),
    /// There is nothing of that name.
    #[error("there is no {0}")]
    NotFound(Item),
    /// It is there, and not what is needed.
    #[error("{item} is {found}, not {needed}")]
    WrongKind {
        /// Which.
        item: Item,
        /// What it is.
        found: &'static str,
        /// What it would have to be.
        needed: &'static str,
    },
    /// A link that leads nowhere.
    #[error("{0} leads to no flist")]
    Dangling(FlistRef),
    /// There is something of that name.
    #[error("{item} is there already: {found}")]
    Exists {
        /// Which.
        item: Item,
        /// What is there.
        found: &'static str,
    },
    /// Links lead to it.
    #[error("{item} is needed: {}", needs(*count, first))]
    Needed {
        /// Which.
        item: Item,
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// A repository that is not empty.
    #[error("the repository {repository} is not empty: it has {count} entries")]
    NotEmpty {
        /// Which.
        repository: String,
        /// How many.
        count: usize,
    },
    /// The name is not to be used.
    #[error("{name:?} cannot be used: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// What is to be published is no flist, or a damaged one, or asks for too much.
    #[error("{what} cannot be published: {reason}")]
    Refused {
        /// What.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store lacks blocks of it.
    #[error("{what} cannot be published: {}", lacks(*count, first))]
    BlocksMissing {
        /// What.
        what: String,
        /// How many references lead to no block.
        count: u64,
        /// Some of their keys.
        first: Vec<BlockKey>,
    },
    /// A folder could not be packed.
    #[error("the folder could not be packed")]
    Pack(#[from] PackError),
    /// An flist could not be read or written, for a reason that is not its own.
    #[error("the flist could not be made")]
    Flist(#[source] FlistError),
    /// The store failed.
    #[error("the block store failed")]
    Store(#[from] StoreError),
    /// A publication was interrupted, and its journal is damaged.
    #[error("the journal {} of an interrupted publication is damaged: {why}; `bcm hub verify` says what is \
             not as it was, and without the journal publishing goes on", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was published before cannot be told.
    #[error("what was published before cannot be told")]
    State(#[from] StateError),
    /// The published tree cannot be read.
    #[error("the published tree cannot be read")]
    Local(#[from] LocalError),
    /// The tree could not be changed.
    #[error("the tree could not be changed")]
    Publish(#[from] PublishError),
    /// The staging folder could not be used.
    #[error("the staging folder could not be used")]
    Stage(#[source] Box<SyncError>),
    /// What is replaced or removed could not be kept for its time of grace.
    #[error("what is replaced could not be kept for its time of grace")]
    Keep(#[from] SnapshotError),
    /// A file could not be made durable.
    #[error("what is to be published could not be written")]
    Write(#[from] AtomicFileError),
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
    #[error("publishing was interrupted; nothing was published")]
    Cancelled,
}

fn needs(count: usize, first: &str) -> String {
    match count {
        1 => format!("the link {first} leads to it"),
        _ => format!("{count} links lead to it, such as {first}"),
    }
}

fn lacks(count: u64, first: &[BlockKey]) -> String {
    let named: Vec<String> = first.iter().map(ToString::to_string).collect();
    match count {
        1 => format!("1 of its blocks is not in the store: {}", named.join(", ")),
        _ => format!(
            "{count} of its blocks are not in the store, such as {}",
            named.join(", ")
        ),
    }
}

impl PublishingError {
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether somebody else is writing to the data folder just now.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Lock(LockError::Held { .. }) | Self::Store(StoreError::InUse { .. }) => true,
            Self::Stage(error) => error.is_busy(),
            _ => false,
        }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        is_full(self) || matches!(self, Self::Store(error) if error.is_full())
    }
}

impl From<SyncError> for PublishingError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) => Self::Store(error),
            error => Self::Stage(Box::new(error)),
        }
    }
}

impl From<FolderError> for PublishingError {
    fn from(error: FolderError) -> Self {
        Self::Io {
            operation: error.operation,
            path: error.path,
            source: error.source,
        }
    }
}

//! Makes what was synced visible, all of it in one quick pass.
//!
//! Whatever is to be published lies verified in the staging folder, and what is to be done is
//! written to a journal first. A step can be done again without harm, so after a crash at any
//! point the journal is simply done from its beginning: nothing that was published is lost, and
//! nothing is published half. A server that sees the journal keeps answering from what it saw
//! before.
//!
//! Order: flists, links, tags, links to tags, removals, the folders' times. So a link never
//! appears before what it leads to, and nothing is removed while a link still leads to it.

mod apply;
mod folder;
mod step;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::{self, AtomicFileError};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::state::{State, StateError};
use crate::catalog::Item;
use crate::layout::Layout;

pub(crate) use step::{StagedFlist, Step};

/// The format of the journal.
const VERSION: u32 = 1;

/// What is to be published, and what is to be remembered afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journal {
    version: u32,
    pub(crate) steps: Vec<Step>,
    pub(crate) state: State,
}

/// A publication could not be finished. Its journal stays, and the next sync goes on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
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
    /// The journal could not be written.
    #[error("could not keep a journal of the publication")]
    Record(#[from] AtomicFileError),
    /// The state could not be written.
    #[error("could not remember the publication")]
    State(#[from] StateError),
    /// There is something else in an entry's place.
    #[error("{} is {found}, and stays", path.display())]
    InTheWay {
        /// The place.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// The staged file of an flist is gone.
    #[error("the staged file {} is gone", path.display())]
    StagedFileGone {
        /// The file.
        path: PathBuf,
    },
    /// The journal is not one.
    #[error("{} cannot be read; remove it to sync again without it", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Why it cannot be read.
        source: serde_json::Error,
    },
    /// The journal was written by a newer version of this program.
    #[error("{} has the format {version}; this version knows {VERSION}", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// The caller asked to stop.
    #[error("the publication was interrupted; the next sync goes on with it")]
    Interrupted,
}

impl PublishError {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let source = match self {
            Self::Io { source, .. } => source,
            Self::Record(error) | Self::State(StateError::Write(error)) => error.io_error(),
            _ => return false,
        };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }

    /// Whether only the entry at hand is at fault, so that the others can go on.
    fn is_local(&self) -> bool {
        match self {
            Self::InTheWay { .. } | Self::StagedFileGone { .. } => true,
            Self::Io { source, .. } => matches!(
                Errno::from_io_error(source),
                Some(
                    Errno::ISDIR
                        | Errno::NOTDIR
                        | Errno::NOTEMPTY
                        | Errno::EXIST
                        | Errno::LOOP
                        | Errno::NAMETOOLONG
                        | Errno::ILSEQ
                )
            ),
            _ => false,
        }
    }
}

/// Where a publication is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// The journal is on disk; nothing else has happened.
    JournalWritten,
    /// This step comes next.
    Step(usize),
    /// All steps are done and on disk.
    Applied,
    /// The state is on disk; only the journal has to go.
    StateSaved,
}

/// Is told how far a publication is, and may stop it there.
pub(crate) type Watch<'a> = &'a mut (dyn FnMut(Point) -> Result<(), PublishError> + Send);

/// An entry that could not be published, and why.
pub(crate) type Failure = (Item, PublishError);

/// Publishes `steps` and then saves `state`, from which entries that failed are taken out.
pub(crate) fn publish(
    layout: &Layout,
    steps: Vec<Step>,
    state: State,
    watch: Watch<'_>,
) -> Result<(State, Vec<Failure>), PublishError> {
    let journal = Journal {
        version: VERSION,
        steps,
        state,
    };
    let path = layout.publish_journal();
    let text = serde_json::to_vec(&journal).map_err(|source| PublishError::Journal {
        path: path.clone(),
        source,
    })?;
    atomic_file::write(&path, &text, 0o600)?;
    watch(Point::JournalWritten)?;
    finish(layout, journal, watch)
}

/// Finishes a publication that was interrupted. `None` where there was none.
pub(crate) fn roll_forward(
    layout: &Layout,
    watch: Watch<'_>,
) -> Result<Option<Vec<Failure>>, PublishError> {
    let path = layout.publish_journal();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", &path, error)),
    };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let unreadable = |source| PublishError::Journal {
        path: path.clone(),
        source,
    };
    let Version { version } = serde_json::from_slice(&text).map_err(unreadable)?;
    if version > VERSION {
        return Err(PublishError::Newer { path, version });
    }
    let journal = serde_json::from_slice(&text).map_err(unreadable)?;
    let (_, failures) = finish(layout, journal, watch)?;
    Ok(Some(failures))
}

fn finish(
    layout: &Layout,
    journal: Journal,
    watch: Watch<'_>,
) -> Result<(State, Vec<Failure>), PublishError> {
    let failures = apply::apply(layout, &journal.steps, watch)?;
    watch(Point::Applied)?;
    let mut state = journal.state;
    for (item, _) in &failures {
        state.forget(item);
    }
    state.save(&layout.state())?;
    watch(Point::StateSaved)?;
    let path = layout.publish_journal();
    fs::remove_file(&path).map_err(|error| io_error("remove", &path, error))?;
    atomic_file::sync_dir(&layout.hub())?;
    Ok((state, failures))
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> PublishError {
    PublishError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;

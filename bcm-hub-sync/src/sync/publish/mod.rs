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
mod step;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::{self, AtomicFileError};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::state::{State, StateError};
use crate::catalog::Item;
use crate::folder::FolderError;
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
    /// The journal could not be put into JSON.
    #[error("could not write down what is to be published")]
    Journal(#[source] serde_json::Error),
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

impl From<FolderError> for PublishError {
    fn from(error: FolderError) -> Self {
        Self::Io {
            operation: error.operation,
            path: error.path,
            source: error.source,
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

/// Publishes `steps` and then saves `state`, in which entries that failed are as they were.
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
    let text = serde_json::to_vec(&journal).map_err(PublishError::Journal)?;
    atomic_file::write(&path, &text, 0o600)?;
    watch(Point::JournalWritten)?;
    finish(layout, journal, watch)
}

/// What came of finishing an earlier publication.
#[derive(Debug)]
pub(crate) enum Rolled {
    /// There was none to finish.
    Nothing,
    /// It is finished, but for these.
    Finished(Vec<Failure>),
    /// Its journal is damaged, so nobody knows what it was to do. The journal stays, and with it a
    /// server stays with what it saw before, until the next publication is complete.
    Damaged(String),
}

/// Finishes a publication that was interrupted.
pub(crate) fn roll_forward(layout: &Layout, watch: Watch<'_>) -> Result<Rolled, PublishError> {
    let path = layout.publish_journal();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rolled::Nothing),
        Err(error) => return Err(io_error("read", &path, error)),
    };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    match serde_json::from_slice(&text) {
        Ok(Version { version }) if version > VERSION => {
            return Err(PublishError::Newer { path, version });
        }
        Ok(_) => {}
        Err(error) => return Ok(Rolled::Damaged(error.to_string())),
    }
    match serde_json::from_slice(&text) {
        Ok(journal) => Ok(Rolled::Finished(finish(layout, journal, watch)?.1)),
        Err(error) => Ok(Rolled::Damaged(error.to_string())),
    }
}

/// What will be remembered when the publication is done that is under way or was interrupted;
/// `None` where there is none, or its journal cannot be read.
pub(crate) fn pending(layout: &Layout) -> Option<State> {
    let text = fs::read(layout.publish_journal()).ok()?;
    let journal: Journal = serde_json::from_slice(&text).ok()?;
    (journal.version == VERSION).then_some(journal.state)
}

fn finish(
    layout: &Layout,
    journal: Journal,
    watch: Watch<'_>,
) -> Result<(State, Vec<Failure>), PublishError> {
    let failures = apply::apply(layout, &journal.steps, watch)?;
    watch(Point::Applied)?;
    let mut state = journal.state;
    if !failures.is_empty() {
        let before = State::load(&layout.state())?.state;
        for (item, _) in &failures {
            state.keep_as_before(item, &before);
        }
    }
    state.save(&layout.state())?;
    watch(Point::StateSaved)?;
    remove_journal(layout)?;
    Ok((state, failures))
}

/// Removes the journal, if there is one: what it says is done, or overtaken.
pub(crate) fn remove_journal(layout: &Layout) -> Result<(), PublishError> {
    let path = layout.publish_journal();
    match fs::remove_file(&path) {
        Ok(()) => Ok(atomic_file::sync_dir(&layout.hub())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("remove", &path, error)),
    }
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

//! Why an flist cannot be read or written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An flist could not be read, or not be written. Every variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlistError {
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
    /// The file is something else.
    #[error("{} is not an flist: it looks like {looks_like}", path.display())]
    NotAnFlist {
        /// The file.
        path: PathBuf,
        /// What its first bytes look like.
        looks_like: String,
    },
    /// The file asks for more than [`Limits`](super::Limits) allow.
    #[error("{} is refused: {what} exceeds the limit of {limit}", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// What it has too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The compressed archive is damaged or cut off.
    #[error("{} is damaged: its compressed archive cannot be read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decompressor or the archive reader says.
        source: io::Error,
    },
    /// The archive does not hold what an flist's does.
    #[error("{} is not an flist: {problem}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// SQLite cannot read (or write) the database.
    #[error("could not {operation} the database of {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What SQLite says.
        source: DatabaseError,
    },
    /// The database does not have the tables of an flist, or has what no flist has.
    #[error("the database of {} is refused: {problem}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An entry of the database is not the message that it should be.
    #[error("{}: entry {key} is damaged: {problem}", path.display())]
    Message {
        /// The file.
        path: PathBuf,
        /// The entry's key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The tree that the entries describe cannot be one.
    #[error("{}: {} is refused: {problem}", path.display(), inside.display())]
    Tree {
        /// The file.
        path: PathBuf,
        /// Where in the tree, starting with `/`.
        inside: PathBuf,
        /// What is wrong there.
        problem: TreeProblem,
    },
}

/// What is wrong at a place of an flist's tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeProblem {
    /// The directory's entry is missing.
    #[error("its entry {0} is missing")]
    MissingDirectory(String),
    /// The directory contains itself, or two directories share one entry.
    #[error("its entry {0} is already used by another folder")]
    Cycle(String),
    /// A key that is no key.
    #[error("{0:?} is not the key of a folder")]
    Key(String),
    /// The entry that says who owns it is missing.
    #[error("the entry {0:?} with its owner and mode is missing")]
    MissingAcl(String),
    /// The name is used twice in one folder.
    #[error("its name is used twice")]
    DuplicateName,
    /// The name cannot be a file's.
    #[error("the name {0:?} {1}")]
    Name(String, &'static str),
    /// It is too deep, its path too long, or there are too many of its kind.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// What SQLite says. Opaque: which library reads the database is not part of the interface.
#[derive(Debug)]
pub struct DatabaseError(pub(super) rusqlite::Error);

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for DatabaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl FlistError {
    pub(super) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the file itself is at fault: reading it again will fail again. Otherwise the
    /// machine is (a full disk, a file that cannot be opened).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }
}

//! Why a medium could not be made.

use std::{io, path::PathBuf};

/// A medium could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// A file of iPXE is in none of the folders that were looked into.
    #[error(
        "{file} is not in {}; Debian's package `ipxe` has it",
        folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" or ")
    )]
    Missing {
        /// The file's name.
        file: &'static str,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// A file of iPXE could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of iPXE is not what its name says, or of a kind that cannot be given a script.
    #[error("{} cannot be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A script does not begin as iPXE wants it.
    #[error("the script does not begin with #!ipxe")]
    NotAScript,
    /// A script is longer than a medium can carry.
    #[error("the script has {len} bytes; a medium can carry {limit}")]
    ScriptTooLong {
        /// Its bytes.
        len: usize,
        /// The most that a medium can carry.
        limit: usize,
    },
}

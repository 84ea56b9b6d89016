//! What a data folder's hub is: a mirror that follows an upstream, or one that stands alone and that an
//! operator publishes into.
//!
//! ```text
//! mirror ──detach──▶ detached ─┐
//!    ▲                         ├─ publish, link, tag, rename, remove
//! (empty) ─standalone▶ standalone ┘
//!    └──────attach, which discards what was published──────┘
//! ```
//!
//! `hub/mode.json` says which. Where there is none, it is a mirror. A file that cannot be read is an
//! error everywhere: who took such a hub for a mirror would let a sync delete what was published.

mod change;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::layout::Layout;

pub use change::{Attached, Detached, ModeError, attach, detach, standalone};

/// The format that this version writes.
const VERSION: u32 = 1;

/// What a hub is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It follows an upstream, and takes nothing from anybody else.
    #[default]
    Mirror,
    /// It was a mirror, and stands alone since.
    Detached,
    /// It never had an upstream.
    Standalone,
}

/// `hub/mode.json` cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModeFileError {
    /// It cannot be read.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error(
        "{} is damaged: write {{\"version\":1,\"mode\":\"detached\",\"since\":0}} (or \"standalone\") into \
         it, or remove it where this is a mirror",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A newer version of this program wrote it.
    #[error("{} has the format {version}, and this version knows {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    mode: Mode,
    /// Since when, in seconds since 1970.
    since: i64,
}

impl Mode {
    /// What the hub in the data folder of `layout` is.
    ///
    /// # Errors
    /// Its file is there and cannot be read.
    pub fn of(layout: &Layout) -> Result<Self, ModeFileError> {
        read(&layout.mode())
    }

    /// Whether an operator may publish.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self != Self::Mirror
    }

    /// As it is written: `mirror`, `detached`, `standalone`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Detached => "detached",
            Self::Standalone => "standalone",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mirror => "a mirror",
            Self::Detached => "a detached hub",
            Self::Standalone => "a standalone hub",
        })
    }
}

fn read(path: &Path) -> Result<Mode, ModeFileError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Mode::Mirror),
        Err(source) => {
            let path = path.to_owned();
            return Err(ModeFileError::Io { path, source });
        }
    };
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let damaged = |source| ModeFileError::Damaged {
        path: path.to_owned(),
        source,
    };
    let Version { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version > VERSION {
        let path = path.to_owned();
        return Err(ModeFileError::Newer { path, version });
    }
    let stored: Stored = serde_json::from_slice(&text).map_err(damaged)?;
    Ok(stored.mode)
}

#[cfg(test)]
mod tests;

//! What an operator publishes in a hub that stands alone, by hand or over the network.
//!
//! A [`Session`] holds the data folder's lock, so nothing else writes meanwhile, neither a collection of
//! garbage that could take blocks away again. In it:
//! - [`Session::publish`] takes a folder, an unpacked archive or an flist;
//! - [`Session::promote`] copies another repository's flist, [`Session::merge`] makes one of several;
//! - [`Session::link`], [`Session::tag`], [`Session::untag`] and [`Session::link_to_tag`] make links;
//! - [`Session::rename`] and [`Session::remove`] do what they say.
//!
//! The order is everywhere the same: blocks are stored and flushed, the flist is opened within limits and
//! every block that it names is asked for, and only then it appears, by the journal that syncs publish
//! with. A process that is killed leaves the tree as it was, or finished by whoever comes next.

pub mod archive;
mod error;
mod flists;
mod links;
mod merge;
mod session;
mod workspace;

use bcm_core::digest::Md5;
use bcm_core::names::{EntryName, NameError};
use serde::Serialize;

use crate::catalog::FlistRef;

pub use error::PublishingError;
pub use flists::{Content, PublishSettings};
pub use session::Session;
pub use workspace::Workspace;

/// The end of the names of flists, by which a hub tells them from links to tags.
pub const SUFFIX: &str = ".flist";

/// Names of repositories that would be taken for paths of the server's own.
const RESERVED: [&str; 5] = ["api", "healthz", "me", "metrics", "search"];

/// Takes `name` as the name of an flist, with `.flist` at its end where that is missing, as hubs do.
///
/// # Errors
/// It is not one safe component of a path.
pub fn flist_name(name: &str) -> Result<EntryName, NameError> {
    match name.ends_with(SUFFIX) {
        true => EntryName::new(name),
        false if name.is_empty() => EntryName::new(name),
        false => EntryName::new(format!("{name}{SUFFIX}")),
    }
}

/// An flist that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Where.
    pub place: FlistRef,
    /// Its MD5. Before a folder was packed, nobody knows it.
    pub md5: Option<Md5>,
    /// Its bytes.
    pub size: u64,
    /// What is in it.
    pub files: Files,
    /// Blocks that the store did not have.
    pub new_blocks: u64,
    /// Files that were left out: sockets.
    pub left_out: u64,
    /// Whether something of that name was there before.
    pub replaced: bool,
}

/// What is in an flist, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Files.
    pub regular: u64,
    /// Symbolic links.
    pub symlink: u64,
    /// Folders, without the root.
    pub directory: u64,
    /// Devices and pipes.
    pub special: u64,
    /// Bytes of all files.
    pub fullsize: u64,
}

#[cfg(test)]
mod tests;

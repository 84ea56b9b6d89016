//! An flist in numbers.

use serde::Serialize;

use super::entry::Kind;
use super::error::FlistError;
use super::reader::Flist;
use super::tree::Step;

/// How many entries of each kind a tree has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TreeCounts {
    /// Files.
    pub files: u64,
    /// Directories, without the root.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Devices, pipes and sockets.
    pub specials: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Totals of an flist's tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its entries.
    #[serde(flatten)]
    pub tree: TreeCounts,
    /// References to blocks; a block that several files share counts several times.
    pub block_references: u64,
    /// The latest time of modification, in seconds since 1970.
    pub newest: u32,
}

impl Summary {
    pub(super) fn of(flist: &Flist) -> Result<Self, FlistError> {
        let mut summary = Self::default();
        for step in flist.walk() {
            let Step::Entry { path, inode } = step? else {
                continue;
            };
            flist.acl(&inode, &path)?;
            summary.newest = summary.newest.max(inode.modified);
            match &inode.kind {
                Kind::Directory(_) => summary.tree.directories += 1,
                Kind::Link(_) => summary.tree.links += 1,
                Kind::Special(_) => summary.tree.specials += 1,
                Kind::File(chunks) => {
                    summary.tree.files += 1;
                    summary.tree.bytes = summary.tree.bytes.saturating_add(inode.size);
                    summary.block_references += chunks.len() as u64;
                }
            }
        }
        Ok(summary)
    }
}

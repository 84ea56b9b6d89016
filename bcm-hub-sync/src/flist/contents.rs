//! An flist's files as a hub lists them.

use serde::Serialize;

use super::entry::Kind;
use super::error::FlistError;
use super::reader::Flist;
use super::tree::Step;

/// What a hub answers for `/api/flist/REPOSITORY/FLIST`: it serializes to that JSON, field by
/// field in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Every path but the root, each directory before what is in it.
    pub content: Vec<ListedFile>,
    /// How many are files.
    pub regular: u64,
    /// How many are symbolic links.
    pub symlink: u64,
    /// How many are directories, without the root.
    pub directory: u64,
    /// How many are devices, pipes and sockets.
    pub special: u64,
    /// How many could not be read: always 0, for such an flist is refused.
    pub failure: u64,
    /// Bytes of all files.
    pub fullsize: u64,
}

/// One path of an flist, as a hub lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedFile {
    /// Bytes of a file or of a link's target, 4096 for a directory, 0 for the rest.
    pub size: u64,
    /// The path, starting with `/`. Bytes that are not UTF-8 are replaced.
    pub path: String,
}

impl Contents {
    pub(super) fn of(flist: &Flist) -> Result<Self, FlistError> {
        let mut contents = Self::default();
        for step in flist.walk() {
            let Step::Entry { path, inode } = step? else {
                continue;
            };
            match inode.kind {
                Kind::Directory(_) => contents.directory += 1,
                Kind::Link(_) => contents.symlink += 1,
                Kind::Special(_) => contents.special += 1,
                Kind::File(_) => {
                    contents.regular += 1;
                    contents.fullsize = contents.fullsize.saturating_add(inode.size);
                }
            }
            contents.content.push(ListedFile {
                size: inode.size,
                path: path.to_string_lossy().into_owned(),
            });
        }
        Ok(contents)
    }
}

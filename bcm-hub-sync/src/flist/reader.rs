//! An open flist.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::archive;
use super::contents::Contents;
use super::database::Database;
use super::entry::{Acl, Directory, DirectoryKey, Inode, Kind};
use super::error::{FlistError, TreeProblem};
use super::limits::Limits;
use super::message;
use super::metadata::{Backend, InvalidBackend, Metadata};
use super::summary::Summary;
use super::tree::{Step, Walk};
use crate::block::BlockKey;

/// ACLs that are remembered. A whole system's tree has a few dozen different ones.
const MAX_CACHED_ACLS: usize = 4096;

/// An flist, open for reading.
///
/// Its database is unpacked to a temporary file that is unlinked at once, so nothing is left
/// behind, not even by a crash. One thread at a time can use it; open it again for another.
///
/// ```no_run
/// use std::path::Path;
/// use bcm_hub_sync::flist::{Flist, Limits, Step};
///
/// let flist = Flist::open(Path::new("ubuntu.flist"), &Limits::default(), Path::new("/tmp"))?;
/// for step in flist.walk() {
///     if let Step::Entry { path, inode } = step? {
///         println!("{} {}", inode.size, path.display());
///     }
/// }
/// # Ok::<(), bcm_hub_sync::flist::FlistError>(())
/// ```
pub struct Flist {
    database: Database,
    metadata: Metadata,
    acls: RefCell<HashMap<String, Acl>>,
}

impl std::fmt::Debug for Flist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flist").field("path", &self.path()).finish()
    }
}

impl Flist {
    /// Opens the flist `path`, unpacking its database to a temporary file in the folder
    /// `scratch`. Checks all layers down to the root directory; the rest of the tree is checked
    /// as it is read.
    ///
    /// # Errors
    /// `path` cannot be read, is not an flist, is damaged, or exceeds `limits`; `scratch` has no
    /// room.
    pub fn open(path: &Path, limits: &Limits, scratch: &Path) -> Result<Self, FlistError> {
        let unpacked = archive::unpack_database(path, limits, scratch)?;
        // SQLite holds the file open from here on; its name goes with `unpacked`.
        let database = Database::open(unpacked.path(), path, limits)?;
        let metadata = Metadata::new(database.metadata()?);
        let flist = Self {
            database,
            metadata,
            acls: RefCell::default(),
        };
        flist.directory(&flist.root_key(), Path::new("/"))?;
        Ok(flist)
    }

    /// The file it was opened from.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// The limits that it is read with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.database.limits()
    }

    /// Its metadata: `backend`, `readme`, `entrypoint` and the like.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Where its blocks are, as it says itself; `None` where it does not say. This is data from
    /// whoever made the flist: not a host to connect to unasked.
    ///
    /// # Errors
    /// The metadata `backend` is not what it should be.
    pub fn backend(&self) -> Result<Option<Backend>, InvalidBackend> {
        self.metadata.backend()
    }

    /// Goes through the tree: every directory before what is in it, in the flist's own order.
    /// Memory is bounded by the directories between the root and the place that is reached.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    /// Calls `each` with every reference to a block, in the order of [`Flist::walk`], until it
    /// breaks. A block that several files share comes several times. Reading to the end proves
    /// that the whole tree is sound.
    ///
    /// # Errors
    /// The tree is damaged or refused. `each` may have seen some of it by then.
    pub fn for_each_block(
        &self,
        each: &mut dyn FnMut(&BlockKey) -> ControlFlow<()>,
    ) -> Result<(), FlistError> {
        for step in self.walk() {
            let Step::Entry { inode, .. } = step? else {
                continue;
            };
            if let Kind::File(chunks) = &inode.kind {
                for chunk in chunks {
                    if each(&chunk.hash).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// All paths with their sizes and the totals, as a hub lists an flist.
    ///
    /// # Errors
    /// The tree is damaged or refused.
    pub fn contents(&self) -> Result<Contents, FlistError> {
        Contents::of(self)
    }

    /// Totals, and that every entry can be read.
    ///
    /// # Errors
    /// The tree is damaged or refused.
    pub fn inspect(&self) -> Result<Summary, FlistError> {
        Summary::of(self)
    }

    /// The owner and mode of `inode`, which is at `path`. Inodes without an ACL belong to root
    /// and get the usual mode of their kind.
    ///
    /// # Errors
    /// The ACL's entry is missing or damaged.
    pub fn acl(&self, inode: &Inode, path: &Path) -> Result<Acl, FlistError> {
        let key = &inode.acl_key;
        if key.is_empty() {
            return Ok(Acl::root(match inode.kind {
                Kind::Directory(_) => 0o755,
                Kind::Link(_) => 0o777,
                Kind::File(_) | Kind::Special(_) => 0o644,
            }));
        }
        if let Some(acl) = self.acls.borrow().get(key) {
            return Ok(acl.clone());
        }
        let ratio = self.limits().message_ratio;
        let acl = self
            .database
            .with_value(key, |bytes| {
                message::read_acl(bytes, ratio).map_err(|e| self.damaged(key, &e))
            })?
            .ok_or_else(|| self.refuse(path, TreeProblem::MissingAcl(key.clone())))?;
        let mut acls = self.acls.borrow_mut();
        if acls.len() < MAX_CACHED_ACLS {
            acls.insert(key.clone(), acl.clone());
        }
        Ok(acl)
    }

    pub(super) fn root_key(&self) -> String {
        DirectoryKey::of(b"").to_string()
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// The directory with the key `key`, whose place in the tree is `inside`.
    pub(super) fn directory(&self, key: &str, inside: &Path) -> Result<Directory, FlistError> {
        let ratio = self.limits().message_ratio;
        self.database
            .with_value(key, |bytes| {
                message::read_directory(bytes, ratio).map_err(|e| self.damaged(key, &e))
            })?
            .ok_or_else(|| self.refuse(inside, TreeProblem::MissingDirectory(key.to_owned())))
    }

    pub(super) fn refuse(&self, inside: &Path, problem: TreeProblem) -> FlistError {
        FlistError::Tree {
            path: self.path().to_owned(),
            inside: inside.to_owned(),
            problem,
        }
    }

    fn damaged(&self, key: &str, problem: &message::MessageError) -> FlistError {
        FlistError::Message {
            path: PathBuf::from(self.path()),
            key: key.to_owned(),
            problem: problem.to_string(),
        }
    }
}

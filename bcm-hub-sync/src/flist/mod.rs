//! Flists, version 1: read, unpack and make them.
//!
//! An flist is a small file that describes a tree: a gzip'd tar of one SQLite database, whose
//! entries are Cap'n Proto messages, one for each directory. It holds names, owners, modes and
//! times; the content of the files is in [blocks](crate::block), which it names.
//!
//! - [`Flist::open`] reads one, and [`Flist::walk`] goes through its tree;
//! - [`unpack`] restores the tree, with blocks from a store;
//! - [`pack`] makes an flist of a folder, and puts its blocks into a store;
//! - [`rewrite_backend`] points one at another store.
//!
//! An flist comes from strangers. Every layer is read within [`Limits`], and what is wrong with
//! it is an [`FlistError`] that says where.

mod accounts;
mod archive;
mod contents;
mod database;
mod entry;
mod error;
mod limits;
mod merge;
mod message;
mod metadata;
mod pack;
mod reader;
mod rewrite;
mod schema;
mod skipped;
mod summary;
mod tree;
mod unpack;
mod writer;

pub use accounts::{Accounts, AccountsError};
pub use contents::{Contents, ListedFile};
pub use entry::{
    Acl, DIRECTORY_SIZE, Device, Directory, DirectoryKey, Inode, Kind, Special, SpecialType,
};
pub use error::{DatabaseError, FlistError, TreeProblem};
pub use limits::Limits;
pub(crate) use merge::merge;
pub use metadata::{BACKEND, Backend, InvalidBackend, Metadata};
pub use pack::{Attribute, Attributes, PackError, PackOptions, PackReport, Unpackable, pack};
pub use reader::Flist;
pub use rewrite::rewrite_backend;
pub use skipped::{Skipped, SkippedPath};
pub use summary::{Summary, TreeCounts};
pub use tree::{Step, Walk};
pub use unpack::{Owners, UnpackError, UnpackOptions, UnpackReport, unpack};
pub use writer::WrittenFlist;

#[cfg(test)]
mod tests;

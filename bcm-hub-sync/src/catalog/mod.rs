//! What a hub lists: repositories with flists, links, tags and links to tags.

pub mod diff;
mod entry;
mod item;
pub mod local;
pub mod pins;
mod published;
pub mod selection;
pub mod upstream;

pub use entry::{
    Catalog, Entry, FlistRef, InvalidTarget, LinkTarget, RegularFile, Repository, Symlink, Tag,
    TagLink, TagRef,
};
pub use item::Item;
pub use published::{Named, Published};

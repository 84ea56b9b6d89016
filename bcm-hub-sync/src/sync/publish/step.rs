//! What a publication does, as data.

use bcm_core::names::RepoName;
use serde::{Deserialize, Serialize};

use crate::catalog::{FlistRef, Item, LinkTarget, Symlink, Tag, TagLink, TagRef};

/// One step of a publication. Doing a step again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Make a repository's folder.
    Repository(RepoName),
    /// Move a staged flist to its place.
    Flist(StagedFlist),
    /// Make or turn a link.
    Link {
        /// Where.
        place: FlistRef,
        /// What it is to be.
        link: Symlink,
    },
    /// Make or replace a tag.
    Tag {
        /// Where.
        place: TagRef,
        /// What it is to be.
        tag: Tag,
    },
    /// Make or turn a link to a tag.
    TagLink {
        /// Where.
        place: FlistRef,
        /// What it is to be.
        link: TagLink,
    },
    /// Remove an entry, a tag or an empty repository.
    Remove(Item),
    /// Set the time of a repository's or a tag's folder, in seconds since 1970.
    Time(Item, i64),
}

/// An flist in the staging folder that is ready to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagedFlist {
    /// Where it belongs.
    pub(crate) place: FlistRef,
    /// The name of its file in the staging folder.
    pub(crate) file: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its time of modification, in seconds since 1970.
    pub(crate) updated: i64,
}

impl Step {
    /// What the step is about.
    pub(crate) fn item(&self) -> Item {
        match self {
            Self::Repository(name) => Item::Repository(name.clone()),
            Self::Flist(flist) => Item::Entry(flist.place.clone()),
            Self::Link { place, .. } | Self::TagLink { place, .. } => Item::Entry(place.clone()),
            Self::Tag { place, .. } => Item::Tag(place.clone()),
            Self::Remove(item) | Self::Time(item, _) => item.clone(),
        }
    }
}

/// The text of a link in the folder of a repository.
pub(super) fn link_text(target: &LinkTarget) -> String {
    match &target.repository {
        None => target.name.to_string(),
        Some(repository) => format!("../{repository}/{}", target.name),
    }
}

/// The text of a link in a tag of the repository `home`.
pub(super) fn tagged_link_text(home: &RepoName, target: &LinkTarget) -> String {
    let target = target.resolve(home);
    format!("../../{}/{}", target.repository, target.name)
}

/// The text of a link to a tag.
pub(super) fn taglink_text(target: &TagRef) -> String {
    format!("../{}/{}", target.repository, target.tag.folder())
}

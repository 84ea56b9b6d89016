//! The name of anything that a catalogue has, for reports and for the sync's memory.

use std::fmt;

use bcm_core::names::{EntryName, RepoName, TagName};
use serde::{Deserialize, Serialize};

use super::{FlistRef, InvalidTarget, TagRef};

/// Names a repository, an entry or a tag. Written as hubs write them: `repo`, `repo/name`,
/// `repo/tags/TAG`. No two different items have the same text, for no name contains a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Item {
    /// A repository as a whole.
    Repository(RepoName),
    /// An flist, a link or a link to a tag.
    Entry(FlistRef),
    /// A tag.
    Tag(TagRef),
}

impl Item {
    /// The entry `name` of `repository`.
    #[must_use]
    pub fn entry(repository: &RepoName, name: &EntryName) -> Self {
        Self::Entry(FlistRef {
            repository: repository.clone(),
            name: name.clone(),
        })
    }

    /// The tag `tag` of `repository`.
    #[must_use]
    pub fn tag(repository: &RepoName, tag: &TagName) -> Self {
        Self::Tag(TagRef {
            repository: repository.clone(),
            tag: tag.clone(),
        })
    }

    /// The repository that it is, or is in.
    #[must_use]
    pub fn repository(&self) -> &RepoName {
        match self {
            Self::Repository(name) => name,
            Self::Entry(entry) => &entry.repository,
            Self::Tag(tag) => &tag.repository,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(name) => name.fmt(f),
            Self::Entry(entry) => entry.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

impl TryFrom<String> for Item {
    type Error = InvalidTarget;
    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        match text.split('/').count() {
            1 => RepoName::new(&text)
                .map(Self::Repository)
                .map_err(|source| InvalidTarget::Name { text, source }),
            2 => FlistRef::try_from(text).map(Self::Entry),
            _ => TagRef::try_from(text).map(Self::Tag),
        }
    }
}

impl From<Item> for String {
    fn from(item: Item) -> String {
        item.to_string()
    }
}

impl From<FlistRef> for Item {
    fn from(entry: FlistRef) -> Self {
        Self::Entry(entry)
    }
}

impl From<TagRef> for Item {
    fn from(tag: TagRef) -> Self {
        Self::Tag(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_round_trip() {
        for text in ["alice", "alice/tags", "tags/tags/tags"] {
            assert_eq!(Item::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "a/", "a/b/c", "a/tags/b/c", "../x"] {
            assert!(Item::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}

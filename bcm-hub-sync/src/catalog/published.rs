//! What was published under each name, by which a verification knows what is gone or was turned.

use std::collections::BTreeMap;
use std::fmt;

use bcm_core::names::EntryName;
use serde::{Deserialize, Serialize};

use super::{Catalog, Entry, FlistRef, Item, Tag, TagRef};

/// What a name stands for. Links are compared by what they lead to, however that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// A repository.
    Repository,
    /// An flist.
    Flist,
    /// A link that leads to this entry.
    Link(FlistRef),
    /// A link to a tag.
    TagLink(TagRef),
    /// A tag, and where its links lead.
    Tag(BTreeMap<EntryName, FlistRef>),
}

impl Named {
    /// What `item` is in `catalog`; `None` where there is nothing of that name.
    #[must_use]
    pub fn of(catalog: &Catalog, item: &Item) -> Option<Self> {
        match item {
            Item::Repository(name) => catalog.repositories.get(name).map(|_| Self::Repository),
            Item::Entry(place) => catalog.entry(place).map(|entry| Self::entry(place, entry)),
            Item::Tag(place) => catalog.tag(place).map(|tag| Self::tag(place, tag)),
        }
    }

    /// What the entry `place` is.
    #[must_use]
    pub fn entry(place: &FlistRef, entry: &Entry) -> Self {
        match entry {
            Entry::Regular(_) => Self::Flist,
            Entry::Symlink(link) => Self::Link(link.target.resolve(&place.repository)),
            Entry::TagLink(link) => Self::TagLink(link.target.clone()),
        }
    }

    /// What the tag `place` is.
    #[must_use]
    pub fn tag(place: &TagRef, tag: &Tag) -> Self {
        let links = tag.links.iter();
        let links =
            links.map(|(name, link)| (name.clone(), link.target.resolve(&place.repository)));
        Self::Tag(links.collect())
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository => f.write_str("a repository"),
            Self::Flist => f.write_str("an flist"),
            Self::Link(target) => write!(f, "a link to {target}"),
            Self::TagLink(target) => write!(f, "a link to {target}"),
            Self::Tag(_) => f.write_str("a tag"),
        }
    }
}

/// The repositories, links, tags and links to tags that were published. Flists are not among them:
/// more is remembered of those.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Published(BTreeMap<Item, Named>);

impl Published {
    /// All that `catalog` has.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let repositories = catalog.repositories.keys().cloned();
        let repositories = repositories.map(|name| (Item::Repository(name), Named::Repository));
        let entries = catalog.entries().map(|(place, entry)| {
            let named = Named::entry(&place, entry);
            (Item::Entry(place), named)
        });
        let entries = entries.filter(|(_, named)| *named != Named::Flist);
        let tags = catalog.tags().map(|(place, tag)| {
            let named = Named::tag(&place, tag);
            (Item::Tag(place), named)
        });
        Self(repositories.chain(entries).chain(tags).collect())
    }

    /// Whether nothing was published.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was published as `item`.
    #[must_use]
    pub fn get(&self, item: &Item) -> Option<&Named> {
        self.0.get(item)
    }

    /// All names, and what was published under them.
    pub fn iter(&self) -> impl Iterator<Item = (&Item, &Named)> {
        self.0.iter()
    }

    /// Remembers `named` as `item`; `None` forgets it.
    pub(crate) fn set(&mut self, item: Item, named: Option<Named>) {
        match named {
            Some(named) => self.0.insert(item, named),
            None => self.0.remove(&item),
        };
    }

    /// Forgets what `keep` does not answer for with `true`.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Item) -> bool) {
        self.0.retain(|item, _| keep(item));
    }
}

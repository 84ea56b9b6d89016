//! From a selection to everything that it needs.

use std::collections::BTreeSet;

use bcm_core::names::RepoName;

use super::Selection;
use crate::catalog::upstream::{Listed, Refusals};
use crate::catalog::{Catalog, Entry, FlistRef, Item, Repository, Tag, TagRef};

/// How many links may follow one another until an flist. Hubs make chains of one, rarely two.
pub const MAX_CHAIN: usize = 8;

/// The part of a catalogue that is to be mirrored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The entries: what was selected and all that its links lead to.
    pub catalog: Catalog,
    /// What was refused, with what is therefore kept as it is here.
    pub refusals: Refusals,
    /// Repositories whose folder's time is not known.
    pub untimed: BTreeSet<RepoName>,
}

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// To an flist, or to nothing that upstream lists: hubs have dangling links, and so do their
    /// mirrors. The entries on the way, without the link itself.
    Taken(Vec<FlistRef>),
    /// Nowhere that makes sense.
    Refused(String),
}

/// Chooses from what upstream lists.
#[must_use]
pub fn choose(listed: &Listed, selection: &Selection) -> Wanted {
    let mut choice = Choice {
        from: &listed.catalog,
        wanted: Wanted {
            catalog: Catalog::default(),
            refusals: listed.refusals.clone(),
            untimed: listed.untimed.clone(),
        },
        refused: BTreeSet::new(),
    };
    for (home, repository) in &listed.catalog.repositories {
        if !selection.repository(home) {
            continue;
        }
        choice.repository(home);
        for name in repository.entries.keys() {
            if selection.name(name.as_str()) {
                choice.take_entry(&FlistRef {
                    repository: home.clone(),
                    name: name.clone(),
                });
            }
        }
        for name in repository.tags.keys() {
            if selection.name(name.as_str()) {
                choice.take_tag(&TagRef {
                    repository: home.clone(),
                    tag: name.clone(),
                });
            }
        }
    }
    choice.wanted
}

struct Choice<'a> {
    from: &'a Catalog,
    wanted: Wanted,
    refused: BTreeSet<Item>,
}

impl Choice<'_> {
    fn repository(&mut self, home: &RepoName) -> &mut Repository {
        let listed = self.from.repositories.get(home);
        let repositories = &mut self.wanted.catalog.repositories;
        repositories
            .entry(home.clone())
            .or_insert_with(|| Repository {
                official: listed.is_some_and(|listed| listed.official),
                updated: listed.map_or(0, |listed| listed.updated),
                ..Repository::default()
            })
    }

    fn take_entry(&mut self, place: &FlistRef) {
        if self.wanted.catalog.entry(place).is_some() {
            return;
        }
        let Some(entry) = self.from.entry(place) else {
            return;
        };
        match entry {
            Entry::Regular(_) => {}
            Entry::Symlink(link) => match self.end(link.target.resolve(&place.repository)) {
                End::Taken(way) => self.add_all(&way),
                End::Refused(reason) => return self.refuse(place.clone().into(), reason),
            },
            Entry::TagLink(link) => self.take_tag(&link.target),
        }
        self.add(place, entry.clone());
    }

    fn take_tag(&mut self, place: &TagRef) {
        if self.wanted.catalog.tag(place).is_some() {
            return;
        }
        let Some(tag) = self.from.tag(place) else {
            return;
        };
        let mut all = Vec::new();
        for (name, link) in &tag.links {
            match self.end(link.target.resolve(&place.repository)) {
                End::Taken(way) => all.extend(way),
                End::Refused(reason) => {
                    let reason = format!("its link {name}: {reason}");
                    return self.refuse(place.clone().into(), reason);
                }
            }
        }
        self.add_all(&all);
        let tag: Tag = tag.clone();
        let repository = self.repository(&place.repository);
        repository.tags.insert(place.tag.clone(), tag);
    }

    /// Follows a link that leads to `target`.
    fn end(&self, target: FlistRef) -> End {
        let mut way = Vec::new();
        let mut next = target;
        loop {
            if way.contains(&next) {
                return End::Refused(format!("leads in a circle through {next}"));
            }
            if way.len() == MAX_CHAIN {
                return End::Refused(format!("leads through more than {MAX_CHAIN} links"));
            }
            let entry = self.from.entry(&next);
            way.push(next.clone());
            next = match entry {
                None | Some(Entry::Regular(_)) => return End::Taken(way),
                Some(Entry::TagLink(_)) => {
                    return End::Refused(format!("leads to {next}, which is a link to a tag"));
                }
                Some(Entry::Symlink(link)) => link.target.resolve(&next.repository),
            };
        }
    }

    fn add_all(&mut self, way: &[FlistRef]) {
        for place in way {
            if let Some(entry) = self.from.entry(place) {
                self.add(place, entry.clone());
            }
        }
    }

    fn add(&mut self, place: &FlistRef, entry: Entry) {
        let repository = self.repository(&place.repository);
        repository.entries.insert(place.name.clone(), entry);
    }

    fn refuse(&mut self, item: Item, reason: String) {
        if self.refused.insert(item.clone()) {
            let subject = item.to_string();
            self.wanted.refusals.add(Some(item), &subject, reason);
        }
    }
}

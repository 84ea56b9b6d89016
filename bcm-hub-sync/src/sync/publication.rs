//! From what was planned and what was staged to what is published: a pure function.
//!
//! A link is published when what it leads to is here, or upstream's own link dangles. A tag's links
//! are used together, so a tag is published whole or stays as it was. What cannot be published
//! yet is deferred and named; and what a deferred entry leads to as it is now is not deleted.

use std::collections::{BTreeMap, BTreeSet};

use bcm_core::names::RepoName;

use super::publish::{StagedFlist, Step};
use super::report::Refusals;
use super::stage::{Ready, Staged};
use crate::catalog::diff::{Diff, needed_by};
use crate::catalog::selection::{MAX_CHAIN, Wanted};
use crate::catalog::{Catalog, Entry, FlistRef, Item, Tag, TagRef};

/// What is published, and what is not.
#[derive(Debug, Default)]
pub(super) struct Publication {
    pub(super) steps: Vec<Step>,
    /// What waits for something that failed.
    pub(super) deferred: Refusals,
    /// What was to be deleted and is still needed by what is deferred.
    pub(super) spared: Vec<Item>,
}

/// Whether something that a link leads to is, or will be, here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Here,
    /// Upstream does not have it either.
    Dangling,
    /// Its present version failed. `held`: an older one is here.
    Failed {
        held: bool,
        what: String,
    },
}

struct Builder<'a> {
    wanted: &'a Wanted,
    local: &'a Catalog,
    staged: &'a Staged,
    /// The flists that were to be fetched.
    changed: BTreeSet<&'a FlistRef>,
    deferred_tags: BTreeSet<&'a TagRef>,
    deferred: BTreeSet<Item>,
    out: Publication,
}

/// Decides what is published.
pub(super) fn build(diff: &Diff, wanted: &Wanted, local: &Catalog, staged: &Staged) -> Publication {
    let mut builder = Builder {
        wanted,
        local,
        staged,
        changed: diff.flists.iter().map(|change| &change.place).collect(),
        deferred_tags: BTreeSet::new(),
        deferred: BTreeSet::new(),
        out: Publication::default(),
    };
    builder.build(diff);
    builder.out
}

impl<'a> Builder<'a> {
    fn build(&mut self, diff: &'a Diff) {
        let steps = diff.repositories.iter().cloned().map(Step::Repository);
        self.out.steps.extend(steps);
        for (place, ready) in &self.staged.ready {
            self.out.steps.extend(flist_step(place, ready));
        }
        for (place, incomplete) in &self.staged.incomplete {
            let missing = &incomplete.missing;
            let named: Vec<String> = missing.first.iter().map(ToString::to_string).collect();
            let reason = match missing.count {
                1 => format!("1 block is missing: {}", named.join(", ")),
                count => format!("{count} blocks are missing, such as {}", named.join(", ")),
            };
            self.defer(place.clone().into(), reason);
        }
        for place in self.staged.refused.keys() {
            self.deferred.insert(place.clone().into());
        }
        for (place, link) in &diff.links {
            match self.flist(&link.target.resolve(&place.repository), 0) {
                Target::Failed { held: false, what } => {
                    let reason = format!("it leads to {what}");
                    self.defer(place.clone().into(), reason);
                }
                _ => self.out.steps.push(Step::Link {
                    place: place.clone(),
                    link: link.clone(),
                }),
            }
        }
        for (place, tag) in &diff.tags {
            match self.failed_link(place, tag) {
                Some(what) => {
                    self.deferred_tags.insert(place);
                    let reason =
                        format!("the tag stays as it was, for one of its links leads to {what}");
                    self.defer(place.clone().into(), reason);
                }
                None => self.out.steps.push(Step::Tag {
                    place: place.clone(),
                    tag: tag.clone(),
                }),
            }
        }
        for (place, link) in &diff.taglinks {
            let held = self.local.tag(&link.target).is_some();
            let failed = match self.wanted.catalog.tag(&link.target) {
                Some(_) => self.deferred_tags.contains(&link.target),
                None => self.is_kept(&Item::Tag(link.target.clone())),
            };
            if failed && !held {
                let reason = format!("it leads to {}, which is not here yet", link.target);
                self.defer(place.clone().into(), reason);
                continue;
            }
            self.out.steps.push(Step::TagLink {
                place: place.clone(),
                link: link.clone(),
            });
        }
        self.removals(&diff.deletions);
        self.times(&diff.times);
    }

    /// What the end of the chain that begins at `place` is.
    fn flist(&self, place: &FlistRef, depth: usize) -> Target {
        let held = self.local.entry(place).is_some();
        let failed = |why: &str| Target::Failed {
            held,
            what: format!("{place}, which {why}"),
        };
        match self.wanted.catalog.entry(place) {
            Some(Entry::Regular(_)) if !self.changed.contains(place) => Target::Here,
            Some(Entry::Regular(_)) if self.staged.ready.contains_key(place) => Target::Here,
            Some(Entry::Regular(_)) if self.staged.incomplete.contains_key(place) => {
                failed("lacks blocks")
            }
            Some(Entry::Regular(_)) => failed("was refused"),
            Some(Entry::Symlink(_)) if depth >= MAX_CHAIN => failed("is one link too many"),
            Some(Entry::Symlink(link)) => {
                match self.flist(&link.target.resolve(&place.repository), depth + 1) {
                    Target::Failed { held: below, what } => Target::Failed {
                        held: held && below,
                        what,
                    },
                    other => other,
                }
            }
            Some(Entry::TagLink(_)) => failed("is a link to a tag"),
            None if self.is_kept(&Item::Entry(place.clone())) => failed("was refused"),
            None => Target::Dangling,
        }
    }

    /// The first target of a tag's links that failed.
    fn failed_link(&self, place: &TagRef, tag: &Tag) -> Option<String> {
        tag.links.values().find_map(|link| {
            match self.flist(&link.target.resolve(&place.repository), 0) {
                Target::Failed { what, .. } => Some(what),
                Target::Here | Target::Dangling => None,
            }
        })
    }

    /// Whether upstream lists `item` in a form that is refused, or may list it where it could not
    /// be read.
    fn is_kept(&self, item: &Item) -> bool {
        let refusals = &self.wanted.refusals;
        refusals.kept().contains(item) || refusals.unread().contains(item.repository())
    }

    fn defer(&mut self, item: Item, reason: String) {
        self.out.deferred.add(None, &item.to_string(), reason);
        self.deferred.insert(item);
    }

    fn removals(&mut self, deletions: &[Item]) {
        if deletions.is_empty() {
            return;
        }
        let needed = needed_by(self.local, self.deferred.iter().cloned());
        let homes: BTreeSet<&RepoName> = needed.iter().map(Item::repository).collect();
        for item in deletions {
            let spared = match item {
                Item::Repository(name) => homes.contains(name),
                item => needed.contains(item),
            };
            if spared {
                self.out.spared.push(item.clone());
            } else {
                self.out.steps.push(Step::Remove(item.clone()));
            }
        }
    }

    /// Every folder that is touched gets its time back, after all else.
    fn times(&mut self, times: &[(Item, i64)]) {
        let mut all: BTreeMap<Item, i64> = BTreeMap::new();
        for step in &self.out.steps {
            let home = step.item().repository().clone();
            let listed = self.wanted.catalog.repositories.get(&home);
            let listed = listed.filter(|_| !self.wanted.untimed.contains(&home));
            let known = listed.or_else(|| self.local.repositories.get(&home));
            if let Some(known) = known {
                all.insert(Item::Repository(home), known.updated);
            }
        }
        all.extend(times.iter().cloned());
        let steps = all.into_iter().map(|(item, time)| Step::Time(item, time));
        self.out.steps.extend(steps);
    }
}

fn flist_step(place: &FlistRef, ready: &Ready) -> Option<Step> {
    Some(Step::Flist(StagedFlist {
        place: place.clone(),
        file: ready.file.clone()?,
        size: ready.size,
        updated: ready.acquired.updated,
    }))
}

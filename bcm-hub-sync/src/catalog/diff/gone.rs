//! What upstream does not list any more.

use std::collections::{BTreeMap, BTreeSet};

use bcm_core::deletion::{Grace, Guard};

use super::{Diff, DiffOptions, Memory};
use crate::catalog::selection::Wanted;
use crate::catalog::{Catalog, Entry, Item};

impl Diff {
    pub(super) fn gone(
        &mut self,
        wanted: &Wanted,
        local: &Catalog,
        memory: &Memory,
        options: &DiffOptions,
    ) {
        let mut missing = Vec::new();
        let mut held = 0_u64;
        // What stays as it is needs what its links lead to here.
        let kept = wanted.refusals.kept().iter().chain(&options.pinned);
        let kept = needed_by(local, kept.cloned());
        let kept = |item: &Item| kept.contains(item);
        for (place, _) in local.entries() {
            held += 1;
            if wanted.catalog.entry(&place).is_none() {
                missing.push(Item::Entry(place));
            }
        }
        for (place, _) in local.tags() {
            held += 1;
            if wanted.catalog.tag(&place).is_none() {
                missing.push(Item::Tag(place));
            }
        }
        missing.retain(|item| !kept(item));
        let entries_missing = missing.len() as u64;
        for home in local.repositories.keys() {
            let item = Item::Repository(home.clone());
            if !wanted.catalog.repositories.contains_key(home) && !kept(&item) {
                missing.push(item);
            }
        }
        self.guard = Guard::check(entries_missing, held, options.max_delete);
        if self.guard.is_some() {
            // What had a tombstone keeps it, if it is still missing; nothing new gets one.
            let still = missing.into_iter().filter_map(|item| {
                let since = *memory.tombstones.get(&item)?;
                Some((item, since))
            });
            self.tombstones = still.collect();
            return;
        }
        let grace = Grace {
            delete_after: options.delete_after,
            now: options.now,
        };
        let tombstones: BTreeMap<Item, i64> = missing
            .iter()
            .map(|item| {
                let known = memory.tombstones.get(item).copied();
                (item.clone(), grace.since(known))
            })
            .collect();
        let due = |item: &Item| {
            let since = tombstones.get(item);
            since.is_some_and(|since| grace.is_over(*since))
        };
        self.deletions = missing
            .into_iter()
            .filter(|item| match item {
                // A repository goes with the last of its entries.
                Item::Repository(home) => {
                    let held = &local.repositories[home];
                    let entries = held.entries.keys().map(|name| Item::entry(home, name));
                    let tags = held.tags.keys().map(|tag| Item::tag(home, tag));
                    due(item) && entries.chain(tags).all(|item| due(&item))
                }
                item => due(item),
            })
            .collect();
        self.tombstones = tombstones;
        for item in &self.deletions {
            self.tombstones.remove(item);
        }
    }
}

/// `roots` and all that their links lead to in the tree `local`. A repository stands for all that
/// is in it.
pub(crate) fn needed_by(local: &Catalog, roots: impl Iterator<Item = Item>) -> BTreeSet<Item> {
    let mut queue: Vec<Item> = roots.collect();
    let mut needed = BTreeSet::new();
    while let Some(item) = queue.pop() {
        if !needed.insert(item.clone()) {
            continue;
        }
        match &item {
            Item::Repository(home) => {
                if let Some(held) = local.repositories.get(home) {
                    queue.extend(held.entries.keys().map(|name| Item::entry(home, name)));
                    queue.extend(held.tags.keys().map(|tag| Item::tag(home, tag)));
                }
            }
            Item::Entry(place) => match local.entry(place) {
                Some(Entry::Symlink(link)) => {
                    queue.push(link.target.resolve(&place.repository).into());
                }
                Some(Entry::TagLink(link)) => queue.push(link.target.clone().into()),
                Some(Entry::Regular(_)) | None => {}
            },
            Item::Tag(place) => {
                let links = local
                    .tag(place)
                    .into_iter()
                    .flat_map(|tag| tag.links.values());
                let targets = links.map(|link| link.target.resolve(&place.repository));
                queue.extend(targets.map(Item::from));
            }
        }
    }
    needed
}

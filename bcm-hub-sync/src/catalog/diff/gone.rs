//! What upstream does not list any more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Diff, DiffOptions, Memory};
use crate::catalog::selection::Wanted;
use crate::catalog::{Catalog, Entry, Item};

/// Why nothing is deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "{missing} of the {held} entries held here are not listed any more; that is more than max-delete \
     ({max_delete}) allows, so nothing is deleted"
)]
pub struct Guard {
    /// How many of the entries that are held here upstream does not list.
    pub missing: u64,
    /// How many entries are held.
    pub held: u64,
    /// The share that may be missing.
    pub max_delete: f64,
}

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
        if too_many(entries_missing, held, options.max_delete) {
            self.guard = Some(Guard {
                missing: entries_missing,
                held,
                max_delete: options.max_delete,
            });
            // What had a tombstone keeps it, if it is still missing; nothing new gets one.
            let still = missing.into_iter().filter_map(|item| {
                let since = *memory.tombstones.get(&item)?;
                Some((item, since))
            });
            self.tombstones = still.collect();
            return;
        }
        let tombstones: BTreeMap<Item, i64> = missing
            .iter()
            .map(|item| {
                let since = memory.tombstones.get(item).copied();
                // One from the future is left by a clock that was wrong then, or is now.
                let since = since.unwrap_or(options.now).min(options.now);
                (item.clone(), since)
            })
            .collect();
        let due = |item: &Item| {
            let (Some(after), Some(since)) = (options.delete_after, tombstones.get(item)) else {
                return false;
            };
            let age = options.now.saturating_sub(*since);
            u64::try_from(age).is_ok_and(|age| age >= after.as_secs())
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

/// Whether `missing` of `held` entries are too many to be true. A single one never is, unless it
/// was the last.
fn too_many(missing: u64, held: u64, max_delete: f64) -> bool {
    #[allow(
        clippy::cast_precision_loss,
        reason = "numbers of entries are far from 2^52"
    )]
    let over = missing as f64 > max_delete * held as f64;
    over && (missing > 1 || missing == held)
}

//! Checks the published tree.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bcm_core::digest::Md5;
use bcm_core::progress::{Outcome, SharedProgress, Unit};
use futures_util::{StreamExt as _, stream};

use super::blocks::blocking;
use super::names::{self, Wrong};
use super::{DamagedFlist, DamagedName, VerifyError, VerifyOptions, VerifyReport};
use crate::block::BlockKey;
use crate::catalog::diff::FlistRecord;
use crate::catalog::local::{self, open_flist};
use crate::catalog::selection::MAX_CHAIN;
use crate::catalog::{Catalog, Entry, FlistRef, Item};
use crate::flist::{Flist, FlistError, Limits};
use crate::layout::Layout;
use crate::scratch::Scratch;
use crate::store::{BlockStore, StoreError};
use crate::sync::publish::pending;
use crate::sync::state::State;
use bcm_core::cause::chain;

/// How many keys the store is asked for at once.
const BATCH: usize = 1024;

/// The pause before a file and its record are looked at again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What all checks share.
struct Check {
    layout: Layout,
    store: Arc<dyn BlockStore>,
    limits: Limits,
    scratch: Scratch,
    damaged: HashSet<BlockKey>,
    /// What the sync remembers of the flists, as it was at the beginning.
    records: BTreeMap<FlistRef, FlistRecord>,
}

/// Checks every flist, link and tag.
pub(super) async fn verify(
    layout: &Layout,
    store: &Arc<dyn BlockStore>,
    options: &VerifyOptions,
    threads: usize,
    damaged: HashSet<BlockKey>,
    progress: &SharedProgress,
    report: &mut VerifyReport,
) -> Result<(), VerifyError> {
    let loaded = State::load(&layout.state())?;
    if let Some(damage) = loaded.damaged {
        let note =
            format!("the state of earlier syncs is damaged ({damage}); the next makes it anew");
        report.notes.add(note);
    }
    if layout.publish_journal().exists() {
        let note = "a publication was interrupted; the next sync finishes it";
        report.notes.add(note.to_owned());
    }
    let scanned = layout.clone();
    let scan = blocking(move || local::scan(&scanned)).await??;
    for odd in &scan.odd {
        let note = format!("{} {}", odd.path.display(), odd.reason);
        report.notes.add(note);
    }
    let catalog = scan.catalog;
    let wrong = names::wrong(layout).await?;
    links(&catalog, &wrong, report);
    for (
        item,
        Wrong {
            is_flist,
            is_gone,
            reason,
        },
    ) in wrong
    {
        if is_gone {
            report.gone.push(item.clone());
        }
        match item {
            Item::Entry(place) if is_flist => {
                report.broken.push(place.clone());
                report.damaged_flists.add(DamagedFlist {
                    place,
                    reason,
                    blocks: 0,
                });
            }
            item => report.damaged_names.add(DamagedName { item, reason }),
        }
    }
    let flists = catalog.entries();
    let flists: Vec<FlistRef> = flists
        .filter(|(_, entry)| matches!(entry, Entry::Regular(_)))
        .map(|(place, _)| place)
        .collect();
    if flists.is_empty() {
        return Ok(());
    }
    let hub = layout.hub();
    let scratch = Scratch::open(&hub, options.scratch.as_deref());
    let check = Arc::new(Check {
        layout: layout.clone(),
        store: Arc::clone(store),
        limits: options.limits.clone(),
        scratch: scratch.map_err(|source| VerifyError::Io {
            operation: "make a folder in",
            path: hub,
            source,
        })?,
        damaged,
        records: loaded.state.memory.flists,
    });
    let total = flists.len() as u64;
    let task = progress.started("checking flists", Unit::Items, Some(total));
    let mut work = stream::iter(flists)
        .map(|place| {
            let check = Arc::clone(&check);
            blocking(move || {
                let found = check.flist(&place);
                (place, found)
            })
        })
        .buffer_unordered(threads.max(1));
    while let Some(result) = work.next().await {
        let (place, found) = result?;
        report.flists += 1;
        progress.advanced(task, 1, 0);
        match found? {
            Found::Whole => {}
            Found::Note(note) => report.notes.add(format!("{place} {note}")),
            Found::Damaged { reason, blocks } => {
                if blocks == 0 {
                    report.broken.push(place.clone());
                }
                report.damaged_flists.add(DamagedFlist {
                    place,
                    reason,
                    blocks,
                });
            }
        }
    }
    let outcome = match report.damaged_flists.count {
        0 => Outcome::Done,
        count => Outcome::Partial(format!("{count} are damaged or incomplete")),
    };
    progress.finished(task, &outcome);
    Ok(())
}

/// Follows every link. One that leads to something `wrong` does so because of that: it is not listed.
fn links(catalog: &Catalog, wrong: &BTreeMap<Item, Wrong>, report: &mut VerifyReport) {
    let leads_nowhere = |item: &Item, ends: &[Item]| {
        !wrong.contains_key(item) && !ends.iter().all(|end| wrong.contains_key(end))
    };
    for (place, entry) in catalog.entries() {
        let end = match entry {
            Entry::Regular(_) => continue,
            Entry::Symlink(_) => nowhere(catalog, place.clone()),
            Entry::TagLink(link) => match catalog.tag(&link.target) {
                Some(_) => None,
                None => Some(Item::Tag(link.target.clone())),
            },
        };
        report.links += 1;
        let ends: Vec<Item> = end.into_iter().collect();
        let item = Item::Entry(place);
        if leads_nowhere(&item, &ends) {
            report.dangling.add(item);
        }
    }
    for (place, tag) in catalog.tags() {
        report.tags += 1;
        report.links += tag.links.len() as u64;
        let targets = tag.links.values();
        let targets = targets.map(|link| link.target.resolve(&place.repository));
        let ends: Vec<Item> = targets
            .filter_map(|target| nowhere(catalog, target))
            .collect();
        let item = Item::Tag(place);
        if leads_nowhere(&item, &ends) {
            report.dangling.add(item);
        }
    }
}

/// Where following links from `place` ends, unless that is at an flist.
fn nowhere(catalog: &Catalog, mut place: FlistRef) -> Option<Item> {
    for _ in 0..=MAX_CHAIN {
        match catalog.entry(&place) {
            Some(Entry::Regular(_)) => return None,
            Some(Entry::Symlink(link)) => place = link.target.resolve(&place.repository),
            Some(Entry::TagLink(_)) | None => break,
        }
    }
    Some(Item::Entry(place))
}

enum Found {
    Whole,
    Note(&'static str),
    Damaged { reason: String, blocks: u64 },
}

impl Check {
    fn flist(&self, place: &FlistRef) -> Result<Found, VerifyError> {
        let path = self
            .layout
            .users()
            .join(&place.repository)
            .join(&place.name);
        let mut tries = 0;
        let record = loop {
            // A sync may replace file and record while they are read, one just after the other: what
            // differs from what was read at the beginning is compared with what is there now.
            let record = match tries {
                0 => self.records.get(place).cloned(),
                _ => {
                    let state = State::load(&self.layout.state())?.state;
                    state.memory.flists.get(place).cloned()
                }
            };
            let md5 = match self.md5(place) {
                Ok(md5) => md5,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Whole),
                Err(error) => {
                    let reason = format!("it cannot be read: {error}");
                    return Ok(Found::Damaged { reason, blocks: 0 });
                }
            };
            let differs = record.as_ref().is_none_or(|record| record.file_md5 != md5);
            // A publication that was killed has replaced the file, and not yet its record.
            let pending = match differs && tries > 0 {
                true => pending(&self.layout).and_then(|mut s| s.memory.flists.remove(place)),
                false => None,
            };
            if let Some(pending) = pending.filter(|pending| pending.file_md5 == md5) {
                break Some(pending);
            }
            if differs && tries < self.patience() {
                if tries > 0 {
                    std::thread::sleep(RETRY_PAUSE);
                }
                tries += 1;
                continue;
            }
            match &record {
                Some(record) if differs => {
                    return Ok(Found::Damaged {
                        reason: format!(
                            "its MD5 is {md5}, and was {} when it was published",
                            record.file_md5
                        ),
                        blocks: 0,
                    });
                }
                _ => break record,
            }
        };
        let lacking = match self.lacking(&path)? {
            Ok(lacking) => lacking,
            // A full disk says nothing about the flist.
            Err(error) if !error.is_refusal() => return Err(VerifyError::Flist(error)),
            Err(error) => {
                let reason = chain(&error);
                return Ok(Found::Damaged { reason, blocks: 0 });
            }
        };
        Ok(match (lacking.count(), record) {
            (0, Some(_)) => Found::Whole,
            (0, None) => Found::Note("is not remembered by any sync"),
            (_, Some(record)) if !record.blocks => Found::Note("was published without its blocks"),
            _ => Found::Damaged {
                reason: lacking.reason(),
                blocks: lacking.count(),
            },
        })
    }

    /// How often a file and its record are looked at again when they differ: longer while a sync
    /// publishes, for it writes the records after the files.
    fn patience(&self) -> u32 {
        match self.layout.publish_journal().exists() {
            true => 100,
            false => 1,
        }
    }

    fn md5(&self, place: &FlistRef) -> io::Result<Md5> {
        let users = self.layout.users();
        let (file, _) = open_flist(&users, &place.repository, &place.name)?;
        Md5::of_reader(file)
    }

    /// How many references of the flist lead to no block, or to a damaged one.
    fn lacking(&self, path: &Path) -> Result<Result<Lacking, FlistError>, StoreError> {
        let mut failed = None;
        let lacking = self.scratch.with(|scratch| {
            let flist = Flist::open(path, &self.limits, scratch)?;
            let mut lacking = Lacking::default();
            let mut batch = Vec::with_capacity(BATCH);
            flist.for_each_block(&mut |key| {
                batch.push(*key);
                if batch.len() == BATCH
                    && let Err(error) = self.look(&mut batch, &mut lacking)
                {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
            if failed.is_none() {
                failed = self.look(&mut batch, &mut lacking).err();
            }
            Ok(lacking)
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(lacking),
        }
    }

    fn look(&self, batch: &mut Vec<BlockKey>, lacking: &mut Lacking) -> Result<(), StoreError> {
        batch.sort_unstable();
        let held = self.store.contains(batch)?;
        for (key, held) in batch.iter().zip(held) {
            // One that was damaged may have been removed since.
            if self.damaged.contains(key) {
                lacking.damaged += 1;
            } else if !held {
                lacking.missing += 1;
            }
        }
        batch.clear();
        Ok(())
    }
}

/// How many references of an flist lead to no block, and how many to a damaged one.
#[derive(Default)]
struct Lacking {
    missing: u64,
    damaged: u64,
}

impl Lacking {
    fn count(&self) -> u64 {
        self.missing + self.damaged
    }

    fn reason(&self) -> String {
        let what = match (self.missing, self.damaged) {
            (_, 0) => "missing",
            (0, _) => "damaged",
            _ => "damaged or missing",
        };
        match self.count() {
            1 => format!("1 of its blocks is {what}"),
            count => format!("{count} of its blocks are {what}"),
        }
    }
}

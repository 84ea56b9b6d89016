//! Taking a mirror back to a snapshot, by the journal that syncs publish with: readers see the tree
//! before or the tree after, and a crash is made good by the next run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::time::Duration;

use bcm_core::digest::Md5;
use bcm_core::lock::FolderLock;
use bcm_core::progress::{Outcome, Progress, Unit};
use serde::Serialize;

use super::manifest::Manifest;
use super::{SnapshotError, contents, known, take};
use crate::catalog::diff::FlistRecord;
use crate::catalog::local::{self, LocalScan};
use crate::catalog::{Entry, FlistRef, Item, Published};
use crate::flist::Limits;
use crate::layout::Layout;
use crate::mode::Mode;
use crate::store::BlockStore;
use crate::sync::publish::{self, Point, StagedFlist, Step};
use crate::sync::restoring::{StagedName, lacking_blocks, open_staging};
use crate::sync::state::State;

/// What restoring did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The snapshot.
    pub name: String,
    /// Flists that were put back.
    pub flists: u64,
    /// Links and tags that were put back.
    pub links: u64,
    /// Entries, tags and repositories that were removed.
    pub removed: u64,
    /// What could not be put back, and why.
    pub failed: Vec<String>,
    /// Whether syncs wait until the snapshot is released.
    pub held: bool,
}

/// Publishes the tree as it was in the snapshot `name`. All blocks that it needs are in `store`, or
/// nothing is done. The tree as it is now is kept as a snapshot first. With `hold`, syncs wait
/// until [`release`](super::release), for the next one would go forward again. With `dry_run`,
/// only what would be done is told. `progress` is told how far it is. Blocks the thread.
///
/// # Errors
/// There is no such snapshot, it is not whole any more, a sync runs, or the disk is full or failing.
pub fn restore(
    layout: &Layout,
    name: &str,
    store: &dyn BlockStore,
    hold: bool,
    dry_run: bool,
    progress: &dyn Progress,
) -> Result<Restored, SnapshotError> {
    known(layout, name)?;
    let _lock = FolderLock::acquire(&layout.lock())?;
    // Where there are no syncs, none has to wait.
    let hold = hold && Mode::of(layout)? == Mode::Mirror;
    open_staging(layout)?;
    publish::roll_forward(layout, &mut |_| Ok(()))?;
    if !dry_run {
        take::after_sync(layout, usize::MAX, Duration::MAX, crate::sync::now())?;
    }
    let manifest = Manifest::read(layout, name)?;
    let mut state = State::load(&layout.state())?.state;
    let scan = local::scan(layout)?;

    let mut plan = Plan::new(&manifest, &scan, &state);
    let mut restored = plan.counts(name, hold);
    plan.check(layout, name, store, progress)?;
    if dry_run {
        return Ok(restored);
    }
    state.memory.flists = manifest.flists.clone();
    state.memory.tombstones = BTreeMap::new();
    state.published = Some(Published::of(&manifest.catalog));
    state.official = manifest.official.clone();
    state.changes += 1;
    state.held = hold.then(|| name.to_owned());
    take::note_taken(layout, state.changes)?;
    let steps = std::mem::take(&mut plan.steps);
    let task = progress.started("publishing", Unit::Items, Some(steps.len() as u64));
    let mut watch = |point| {
        if let Point::Step(_) = point {
            progress.advanced(task, 1, 0);
        }
        Ok(())
    };
    let published = publish::publish(layout, steps, state, &mut watch);
    progress.finished(task, &outcome(&published));
    let (_, failures) = published?;
    let failed = failures.iter();
    restored.failed = failed
        .map(|(item, error)| format!("{item}: {}", bcm_core::cause::chain(error)))
        .collect();
    Ok(restored)
}

fn outcome<T, E: std::error::Error + 'static>(result: &Result<T, E>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(bcm_core::cause::chain(error)),
    }
}

/// The way from the tree as it is to a snapshot.
struct Plan<'a> {
    steps: Vec<Step>,
    /// The flists that are put back.
    flists: Vec<(FlistRef, &'a FlistRecord)>,
}

impl<'a> Plan<'a> {
    fn new(manifest: &'a Manifest, scan: &LocalScan, state: &State) -> Self {
        let (wanted, local) = (&manifest.catalog, &scan.catalog);
        let mut plan = Self {
            steps: Vec::new(),
            flists: Vec::new(),
        };
        let repositories = wanted.repositories.keys();
        let new = repositories.filter(|name| !local.repositories.contains_key(*name));
        plan.steps.extend(new.cloned().map(Step::Repository));
        let mut links = Vec::new();
        let mut taglinks = Vec::new();
        for (place, entry) in wanted.entries() {
            match entry {
                Entry::Regular(file) => {
                    let Some(record) = manifest.flists.get(&place) else {
                        continue;
                    };
                    let held = scan.files.get(&place);
                    let known = state.memory.flists.get(&place);
                    let same = held.is_some_and(|held| {
                        (held.size, held.modified.seconds) == (record.file_size, file.updated)
                    }) && known.is_some_and(|known| known.file_md5 == record.file_md5);
                    if !same {
                        plan.steps.push(Step::Flist(StagedFlist {
                            file: StagedName::of(&place).whole(&record.file_md5),
                            size: record.file_size,
                            updated: file.updated,
                            place: place.clone(),
                        }));
                        plan.flists.push((place, record));
                    }
                }
                same if local.entry(&place) == Some(same) => {}
                Entry::Symlink(link) => {
                    let link = link.clone();
                    links.push(Step::Link { place, link });
                }
                Entry::TagLink(link) => {
                    let link = link.clone();
                    taglinks.push(Step::TagLink { place, link });
                }
            }
        }
        plan.steps.append(&mut links);
        for (place, tag) in wanted.tags() {
            if local.tag(&place) != Some(tag) {
                let tag = tag.clone();
                plan.steps.push(Step::Tag { place, tag });
            }
        }
        plan.steps.append(&mut taglinks);
        let entries = local.entries().map(|(place, _)| place);
        let gone = entries.filter(|place| wanted.entry(place).is_none());
        let gone = gone.map(Item::from).collect::<Vec<_>>();
        let tags = local.tags().map(|(place, _)| place);
        let tags = tags.filter(|place| wanted.tag(place).is_none());
        let repositories = local.repositories.keys();
        let repositories = repositories.filter(|name| !wanted.repositories.contains_key(*name));
        let removals = gone
            .into_iter()
            .chain(tags.map(Item::from))
            .chain(repositories.cloned().map(Item::Repository));
        plan.steps.extend(removals.map(Step::Remove));
        if !plan.steps.is_empty() {
            let times = wanted.repositories.iter();
            plan.steps.extend(times.map(|(name, repository)| {
                Step::Time(Item::Repository(name.clone()), repository.updated)
            }));
        }
        plan
    }

    fn counts(&self, name: &str, held: bool) -> Restored {
        let mut restored = Restored {
            name: name.to_owned(),
            held,
            ..Restored::default()
        };
        for step in &self.steps {
            match step {
                Step::Flist(_) => restored.flists += 1,
                Step::Link { .. } | Step::Tag { .. } | Step::TagLink { .. } => restored.links += 1,
                Step::Remove(_) => restored.removed += 1,
                Step::Repository(_) | Step::Time(..) => {}
            }
        }
        restored
    }

    /// Puts the flists into the staging folder, and makes sure that they and their blocks are whole.
    fn check(
        &self,
        layout: &Layout,
        name: &str,
        store: &dyn BlockStore,
        progress: &dyn Progress,
    ) -> Result<(), SnapshotError> {
        let total = self.flists.len() as u64;
        let task = progress.started("checking flists", Unit::Items, Some(total));
        let checked = self.check_all(layout, name, store, &|| progress.advanced(task, 1, 0));
        progress.finished(task, &outcome(&checked));
        checked
    }

    fn check_all(
        &self,
        layout: &Layout,
        name: &str,
        store: &dyn BlockStore,
        next: &dyn Fn(),
    ) -> Result<(), SnapshotError> {
        let mut bad = Vec::new();
        for (place, record) in &self.flists {
            next();
            let staged = layout
                .staging()
                .join(StagedName::of(place).whole(&record.file_md5));
            if let Err(reason) = stage(layout, record, &staged)? {
                bad.push(format!("{place}: {reason}"));
                continue;
            }
            if !record.blocks {
                continue;
            }
            match lacking_blocks(layout, &staged, &Limits::default(), store)? {
                Ok(0) => {}
                Ok(count) => bad.push(format!("{place}: {count} of its blocks are missing")),
                Err(reason) => bad.push(format!("{place}: {reason}")),
            }
        }
        match bad.first() {
            None => Ok(()),
            Some(first) => Err(SnapshotError::Incomplete {
                name: name.to_owned(),
                count: bad.len(),
                first: first.clone(),
            }),
        }
    }
}

/// Copies an flist's content to `staged`: the published file is to have a time of its own.
fn stage(
    layout: &Layout,
    record: &FlistRecord,
    staged: &std::path::Path,
) -> Result<Result<(), String>, SnapshotError> {
    let content = contents::path_of(layout, &record.file_md5);
    match fs::copy(&content, staged) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Err("its content is gone".to_owned()));
        }
        Err(error) => return Err(SnapshotError::io("copy to", staged)(error)),
    }
    let file = File::open(staged).map_err(SnapshotError::io("open", staged))?;
    let found = Md5::of_reader(&file).map_err(SnapshotError::io("read", staged))?;
    if found != record.file_md5 {
        return Ok(Err(format!("its content's MD5 is {found}")));
    }
    file.sync_all().map_err(SnapshotError::io("sync", staged))?;
    Ok(Ok(()))
}

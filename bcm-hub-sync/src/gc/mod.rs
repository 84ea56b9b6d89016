//! Gives back the room of blocks that nothing needs any more.
//!
//! Needed is every block that is named by a published flist, by one in a snapshot, by one that was
//! published until lately, or by one that a sync has staged. The keys of all of these go into a
//! filter of bounded size; then the store is gone through once, and what is not in the filter is
//! removed. The filter may spare a few blocks too many, and never one too few.
//!
//! While this runs, the data folder is locked: no sync can bring in a block that this would take away
//! again before its flist is published.

mod error;
mod filter;

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bcm_core::atomic_file;
use bcm_core::lock::FolderLock;
use bcm_core::progress::{Outcome, SharedProgress, Unit};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::block::BlockKey;
use crate::catalog::local;
use crate::flist::{Flist, Limits};
use crate::layout::Layout;
use crate::scratch::Scratch;
use crate::snapshots;
use crate::store::{BlockStore, Cursor, Direction};
use crate::sync::state::State;
pub use error::GcError;
use filter::Filter;

/// How many blocks are looked at, and at most removed, at once.
const PAGE: usize = 4096;

/// How garbage is collected.
#[derive(Debug, Clone)]
pub struct GcOptions {
    /// Only tell what would be removed. Default: no.
    pub dry_run: bool,
    /// How long flists that are neither published nor in a snapshot any more are kept with their
    /// blocks. Default 7 days.
    pub grace: Duration,
    /// A folder elsewhere, in which flists are unpacked when the disk of the data folder is full.
    pub scratch: Option<PathBuf>,
    /// How much an flist may ask for.
    pub limits: Limits,
    /// Where the whole namespace was mirrored, keep only what flists name, and forget how far its
    /// scan got. Without it, nothing is collected there. Default: no.
    pub only_named: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            grace: Duration::from_secs(7 * 24 * 60 * 60),
            scratch: None,
            limits: Limits::default(),
            only_named: false,
        }
    }
}

/// What a collection of garbage did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GcReport {
    /// Whether nothing was removed, only looked at.
    pub dry_run: bool,
    /// Flists whose blocks were spared.
    pub flists: u64,
    /// Blocks that are kept.
    pub kept: u64,
    /// Blocks that were removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Old versions of flists that were removed.
    pub removed_flists: u64,
    /// By how many bytes the store is smaller on disk.
    pub freed: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Removes the blocks from `store` that the mirror in the data folder of `layout` does not need.
///
/// Cancel safety: cancel by `cancel`; after dropping the future it goes on in the background.
///
/// # Errors
/// A sync runs, something cannot be read, or `cancel` was cancelled. What was removed until then was
/// garbage.
pub async fn gc(
    layout: &Layout,
    store: Arc<dyn BlockStore>,
    options: &GcOptions,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<GcReport, GcError> {
    check(layout)?;
    let work = Collection {
        layout: layout.clone(),
        store,
        options: options.clone(),
        progress,
        cancel,
    };
    let result = tokio::task::spawn_blocking(move || work.run()).await;
    result.map_err(GcError::Panicked)?
}

/// Whether there is a mirror in `layout`. To be asked before its store is opened, which may make one.
///
/// # Errors
/// There is none.
pub fn check(layout: &Layout) -> Result<(), GcError> {
    match layout.hub().is_dir() {
        true => Ok(()),
        false => Err(GcError::NoMirror {
            path: layout.root().to_owned(),
        }),
    }
}

struct Collection {
    layout: Layout,
    store: Arc<dyn BlockStore>,
    options: GcOptions,
    progress: SharedProgress,
    cancel: CancellationToken,
}

impl Collection {
    fn run(&self) -> Result<GcReport, GcError> {
        let started = Instant::now();
        let layout = &self.layout;
        let _lock = FolderLock::acquire(&layout.lock())?;
        let scanned = layout.scan_state().exists();
        if scanned && !self.options.only_named {
            return Err(GcError::WholeNamespace);
        }
        let before = self.store.stats()?;
        let old = snapshots::sweep(layout, self.options.grace, self.options.dry_run)?;
        let mut state = State::load(&layout.state())?.state;
        let mut flists = self.flists(&state)?;
        // A dry run has left them there.
        flists.retain(|path| !old.contains(path));
        if flists.is_empty() && before.blocks > 0 {
            let blocks = before.blocks;
            return Err(GcError::NoFlists { blocks });
        }
        let needed = self.mark(&flists, before.blocks)?;
        let mut report = GcReport {
            dry_run: self.options.dry_run,
            flists: flists.len() as u64,
            removed_flists: old.len() as u64,
            ..GcReport::default()
        };
        if scanned && !self.options.dry_run {
            // Before anything that it lists is gone.
            for path in [layout.scan_state(), layout.gone_blocks()] {
                atomic_file::remove_if_there(&path).map_err(GcError::io("remove", &path))?;
            }
        }
        let swept = self.sweep(&needed, &mut report);
        if report.removed > 0 && !self.options.dry_run {
            self.store.flush()?;
            // The next sync is not to take this for a loss.
            state.blocks = state
                .blocks
                .map(|blocks| blocks.saturating_sub(report.removed));
            state.save(&layout.state())?;
            let after = self.store.stats()?;
            report.freed = before.disk_bytes.saturating_sub(after.disk_bytes);
        }
        swept?;
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }

    /// The files of all flists whose blocks are needed.
    fn flists(&self, state: &State) -> Result<Vec<PathBuf>, GcError> {
        let layout = &self.layout;
        let scan = local::scan(layout)?;
        let mut known = state.memory.flists.keys();
        if let Some(gone) = known.find(|place| !scan.files.contains_key(place)) {
            let place = gone.to_string();
            return Err(GcError::Gone { place });
        }
        let users = layout.users();
        let published = scan.files.keys();
        let mut flists: Vec<PathBuf> = published
            .map(|place| users.join(&place.repository).join(&place.name))
            .collect();
        let kept = layout.snapshot_flists();
        let unpublished = snapshots::unpublished(layout);
        flists.extend(unpublished.map_err(GcError::io("read the folder", &kept))?);
        let staging = layout.staging();
        let staged = match fs::read_dir(&staging) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        for entry in staged.map_err(GcError::io("read the folder", &staging))? {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "flist") {
                flists.push(path);
            }
        }
        Ok(flists)
    }

    /// The blocks that `flists` name.
    fn mark(&self, flists: &[PathBuf], blocks: u64) -> Result<Filter, GcError> {
        let hub = self.layout.hub();
        let scratch = Scratch::open(&hub, self.options.scratch.as_deref());
        let scratch = scratch.map_err(GcError::io("make a folder in", &hub))?;
        let total = flists.len() as u64;
        let task = self
            .progress
            .started("reading flists", Unit::Items, Some(total));
        let mut needed = Filter::new(blocks);
        for path in flists {
            if self.cancel.is_cancelled() {
                return Err(GcError::Cancelled);
            }
            let read = scratch.with(|scratch| {
                let flist = Flist::open(path, &self.options.limits, scratch)?;
                flist.for_each_block(&mut |key| {
                    needed.insert(key);
                    ControlFlow::Continue(())
                })
            });
            if let Err(source) = read {
                let (path, source) = (path.clone(), Box::new(source));
                return Err(GcError::Flist { path, source });
            }
            self.progress.advanced(task, 1, 0);
        }
        self.progress.finished(task, &Outcome::Done);
        Ok(needed)
    }

    /// Goes through the store.
    fn sweep(&self, needed: &Filter, report: &mut GcReport) -> Result<(), GcError> {
        let total = self.store.stats()?.blocks;
        let task = self
            .progress
            .started("looking at blocks", Unit::Blocks, Some(total));
        let mut cursor: Option<Cursor> = None;
        loop {
            if self.cancel.is_cancelled() {
                return Err(GcError::Cancelled);
            }
            let page = self.store.scan(cursor.as_ref(), Direction::Forward, PAGE)?;
            let Some(last) = page.last() else {
                break;
            };
            cursor = Some(last.cursor);
            let mut garbage: Vec<BlockKey> = Vec::new();
            let mut bytes = 0;
            for block in &page {
                if !needed.may_hold(&block.key) {
                    garbage.push(block.key);
                    bytes += u64::from(block.size);
                }
            }
            let removed = match self.options.dry_run {
                _ if garbage.is_empty() => 0,
                true => garbage.len() as u64,
                false => self.store.remove(&garbage)?,
            };
            report.removed += removed;
            report.removed_bytes += bytes;
            report.kept += (page.len() - garbage.len()) as u64;
            self.progress.advanced(task, page.len() as u64, 0);
        }
        self.progress.finished(task, &Outcome::Done);
        Ok(())
    }
}

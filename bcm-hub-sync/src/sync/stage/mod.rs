//! Brings new and changed flists into the staging folder, verified, and their blocks into the
//! store.
//!
//! Each flist is downloaded, compared with upstream's MD5 and opened; the keys of the blocks that
//! the store lacks go to the fetch of blocks while other flists are still on their way. When all
//! are there, each flist that lacked blocks is read once more: it may be published only if every
//! one of them is in the store now.
//!
//! What is staged and not published stays, under a name that says which version of which flist it
//! is, and is used by the next sync if upstream still has that version.

mod acquire;
mod closure;
mod names;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use bcm_core::digest::Md5;
use bcm_core::progress::{Level, Outcome, SharedProgress, Unit};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::blocks::{FetchError, FetchReport, fetch_blocks};
use super::config::{BlockMode, FlistMode, SyncConfig};
use super::error::{Stop, SyncError, is_full};
use crate::block::BlockKey;
use crate::catalog::FlistRef;
use crate::catalog::diff::{FlistChange, FlistRecord};
use crate::catalog::upstream::Upstreams;
use crate::layout::Layout;
use crate::store::BlockStore;
use bcm_core::cause::chain;

pub(super) use acquire::Acquired;
pub(crate) use closure::Missing;
pub(super) use closure::{Recent, check_blocks, request_blocks};
pub(crate) use names::StagedName;
pub(crate) use names::{clean, scratch};

/// How many batches of wanted keys wait for the fetch of blocks.
const KEY_QUEUE: usize = 16;

/// An flist that may be published.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub(super) acquired: Acquired,
    /// The size of the file to publish, in bytes.
    pub(super) size: u64,
    /// Its MD5.
    pub(super) md5: Md5,
    /// The name of the staged file; `None` where the published file is already the right one.
    pub(super) file: Option<String>,
}

/// An flist that waits for blocks.
#[derive(Debug)]
pub(super) struct Incomplete {
    /// Upstream's MD5 of it.
    pub(super) md5: Md5,
    pub(super) missing: Missing,
}

/// What came of staging.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// The flists that may be published.
    pub(super) ready: BTreeMap<FlistRef, Ready>,
    /// The flists that are refused, and why.
    pub(super) refused: BTreeMap<FlistRef, String>,
    /// The flists that lack blocks.
    pub(super) incomplete: BTreeMap<FlistRef, Incomplete>,
    /// Bytes of flists that were downloaded.
    pub(super) flist_bytes: u64,
    /// What came of the fetch of blocks.
    pub(super) blocks: FetchReport,
    pub(super) warnings: Vec<String>,
}

/// What staging works with.
pub(super) struct Stage<'a> {
    pub(super) layout: &'a Layout,
    pub(super) config: &'a SyncConfig,
    pub(super) upstreams: &'a Upstreams,
    /// The hub that the catalogue came from.
    pub(super) hub: usize,
    pub(super) now: i64,
    pub(super) records: &'a BTreeMap<FlistRef, FlistRecord>,
    pub(super) store: Arc<dyn BlockStore>,
    pub(super) progress: SharedProgress,
    pub(super) cancel: CancellationToken,
}

/// An flist that was acquired and read.
struct Inspected {
    ready: Ready,
    lacks_blocks: bool,
}

impl Stage<'_> {
    /// Stages `changes`.
    pub(super) async fn run(&self, changes: &[FlistChange]) -> Result<Staged, SyncError> {
        let mut staged = Staged::default();
        if changes.is_empty() {
            return Ok(staged);
        }
        let fetch_cancel = self.cancel.child_token();
        let (keys, fetch) = self.start_fetch(&fetch_cancel);
        let acquired = self.acquire_all(changes, keys, &mut staged);
        // The fetch sees the cancellation as well, and flushes what it has.
        let acquired = self.cancel.run_until_cancelled(acquired).await;
        let acquired = acquired.unwrap_or(Err(SyncError::Cancelled));
        if acquired.is_err() {
            fetch_cancel.cancel();
        }
        let fetched = match fetch {
            Some(fetch) => Some(fetch.await.map_err(SyncError::Panicked)?),
            None => None,
        };
        let lacking = acquired?;
        self.note_fetch(fetched, &mut staged)?;
        self.settle_blocks(lacking, &mut staged).await?;
        Ok(staged)
    }

    #[allow(clippy::type_complexity, reason = "named nowhere else")]
    fn start_fetch(
        &self,
        cancel: &CancellationToken,
    ) -> (
        Option<mpsc::Sender<Vec<BlockKey>>>,
        Option<tokio::task::JoinHandle<Result<FetchReport, FetchError>>>,
    ) {
        if self.config.blocks == BlockMode::None {
            return (None, None);
        }
        let (sender, wanted) = mpsc::channel(KEY_QUEUE);
        let mut options = self.config.fetch.clone();
        options.sources = self.config.block_sources();
        let store = Arc::clone(&self.store);
        let progress = Arc::clone(&self.progress);
        let cancel = cancel.clone();
        let fetch =
            tokio::spawn(
                async move { fetch_blocks(&options, wanted, store, progress, cancel).await },
            );
        (Some(sender), Some(fetch))
    }

    /// Acquires and reads every flist; answers with those that lacked blocks.
    async fn acquire_all(
        &self,
        changes: &[FlistChange],
        keys: Option<mpsc::Sender<Vec<BlockKey>>>,
        staged: &mut Staged,
    ) -> Result<BTreeMap<FlistRef, Ready>, SyncError> {
        let total = changes.len() as u64;
        let task = self
            .progress
            .started("fetching flists", Unit::Items, Some(total));
        let known = Arc::new(names::known(&self.layout.staging())?);
        let readers = std::thread::available_parallelism().map_or(1, NonZero::get);
        let readers = Arc::new(Semaphore::new(readers));
        let recent = Arc::new(Recent::default());
        let mut work = stream::iter(changes)
            .map(|change| {
                let (known, readers) = (Arc::clone(&known), Arc::clone(&readers));
                let (keys, recent) = (keys.clone(), Arc::clone(&recent));
                async move {
                    let result = async {
                        let acquired = self.acquire(change, &known).await?;
                        let _permit = readers.acquire().await;
                        self.inspect(change, acquired, keys, recent).await
                    };
                    (change.place.clone(), result.await)
                }
            })
            .buffer_unordered(self.config.parallel.max(1));
        let mut lacking = BTreeMap::new();
        while let Some((place, result)) = work.next().await {
            let bytes = match result {
                Ok(Inspected {
                    ready,
                    lacks_blocks,
                }) => {
                    let bytes = ready.acquired.downloaded;
                    staged.flist_bytes += bytes;
                    let map = match lacks_blocks {
                        true => &mut lacking,
                        false => &mut staged.ready,
                    };
                    map.insert(place, ready);
                    bytes
                }
                Err(Stop::Entry(reason)) => {
                    let text = format!("{place} is refused: {reason}");
                    self.progress.note(Level::Warning, &text);
                    staged.refused.insert(place, reason);
                    0
                }
                Err(Stop::All(error)) => {
                    let outcome = Outcome::Failed(error.to_string());
                    self.progress.finished(task, &outcome);
                    return Err(error);
                }
            };
            self.progress.advanced(task, 1, bytes);
        }
        let outcome = match staged.refused.len() {
            0 => Outcome::Done,
            refused => Outcome::Partial(format!("{refused} were refused")),
        };
        self.progress.finished(task, &outcome);
        Ok(lacking)
    }

    /// Opens an flist, rewrites it where that is asked for, and asks for the blocks it lacks.
    async fn inspect(
        &self,
        change: &FlistChange,
        acquired: Acquired,
        keys: Option<mpsc::Sender<Vec<BlockKey>>>,
        recent: Arc<Recent>,
    ) -> Result<Inspected, Stop> {
        let layout = self.layout.clone();
        let limits = self.config.limits.clone();
        let store = Arc::clone(&self.store);
        let mode = self.config.flists.clone();
        let place = change.place.clone();
        let work = move || {
            let path = acquired.path(&layout, &place);
            let scratch = names::scratch(&layout);
            let lacks = request_blocks(&path, &limits, &scratch, &*store, keys, &recent)?;
            let ready = acquire::finish(&layout, &place, acquired, &mode, &limits)?;
            Ok(Inspected {
                ready,
                lacks_blocks: lacks,
            })
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(Stop::All(SyncError::Panicked(error))),
        }
    }

    /// Takes note of what came of the fetch of blocks. When all sources were down, what is
    /// complete without them is still published.
    fn note_fetch(
        &self,
        fetched: Option<Result<FetchReport, FetchError>>,
        staged: &mut Staged,
    ) -> Result<(), SyncError> {
        match fetched {
            None => {}
            Some(Ok(report)) => staged.blocks = report,
            Some(Err(FetchError::Cancelled { .. })) => return Err(SyncError::Cancelled),
            Some(Err(FetchError::Store { source, .. })) => {
                let error = SyncError::Store(source);
                return Err(error.or_full(self.layout.root()));
            }
            Some(Err(error)) => {
                if is_full(&error) {
                    return Err(SyncError::Full {
                        path: self.layout.root().to_owned(),
                        source: Box::new(error),
                    });
                }
                staged.warnings.push(chain(&error));
                staged.blocks = error.report().cloned().unwrap_or_default();
            }
        }
        for refused in &staged.blocks.refused.first {
            let (key, source) = (&refused.key, &refused.source);
            let warning = format!("block {key} from {source} was refused: {}", refused.reason);
            staged.warnings.push(warning);
        }
        Ok(())
    }

    /// Sorts the flists that lacked blocks into those that have them all now and the others.
    async fn settle_blocks(
        &self,
        lacking: BTreeMap<FlistRef, Ready>,
        staged: &mut Staged,
    ) -> Result<(), SyncError> {
        let mut checks = stream::iter(lacking)
            .map(|(place, ready)| {
                let path = ready.path(self.layout, &place);
                let limits = self.config.limits.clone();
                let scratch = names::scratch(self.layout);
                let store = Arc::clone(&self.store);
                async move {
                    let work = move || check_blocks(&path, &limits, &scratch, &*store);
                    let result = tokio::task::spawn_blocking(work).await;
                    (place, ready, result)
                }
            })
            .buffer_unordered(std::thread::available_parallelism().map_or(1, NonZero::get));
        while let Some((place, ready, result)) = checks.next().await {
            match result.map_err(SyncError::Panicked)? {
                Ok(missing) if missing.count == 0 => drop(staged.ready.insert(place, ready)),
                Ok(missing) => {
                    let md5 = ready.acquired.md5;
                    staged.incomplete.insert(place, Incomplete { md5, missing });
                }
                Err(Stop::Entry(reason)) => drop(staged.refused.insert(place, reason)),
                Err(Stop::All(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Ready {
    /// Where the file is that will be published.
    fn path(&self, layout: &Layout, place: &FlistRef) -> std::path::PathBuf {
        match &self.file {
            Some(file) => layout.staging().join(file),
            None => names::published(layout, place),
        }
    }
}

/// The modes differ only in what is published, not in what is staged.
fn is_verbatim(mode: &FlistMode) -> bool {
    matches!(mode, FlistMode::Verbatim)
}

/// Makes the folders that staging works in, and empties the scratch folder.
pub(crate) fn open(layout: &Layout) -> Result<(), SyncError> {
    let scratch = names::scratch(layout);
    match std::fs::remove_dir_all(&scratch) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(SyncError::io("empty", &scratch, error)),
    }
    make_folder(&layout.users())?;
    make_folder(&scratch)
}

fn make_folder(path: &Path) -> Result<(), SyncError> {
    std::fs::create_dir_all(path).map_err(|error| SyncError::io("make the folder", path, error))
}

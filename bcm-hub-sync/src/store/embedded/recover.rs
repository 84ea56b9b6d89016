//! Opening for writing: from whatever a crash left to a state that is known to be good.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bcm_core::lock::{FolderLock, LockError};

use super::index::Runs;
use super::journal::{self, Journal};
use super::manifest::Manifest;
use super::record::{Body, RECORD_BYTES};
use super::replay::Replay;
use super::run::Run;
use super::segments::Segments;
use super::tail::Tail;
use super::writer::Writer;
use super::{Limits, State};
use crate::store::StoreError;

const RUN_PREFIX: &str = "index-";
const RUN_SUFFIX: &str = ".run";
const LOCK: &str = "lock";

pub(super) fn run_name(number: u64) -> String {
    format!("{RUN_PREFIX}{number:06}{RUN_SUFFIX}")
}

fn run_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(RUN_PREFIX)?.strip_suffix(RUN_SUFFIX)?;
    digits.parse().ok()
}

/// A store that is ready, but for what its first flush does.
pub(super) struct Recovered {
    pub(super) journal: Journal,
    pub(super) state: State,
    pub(super) writer: Writer,
    /// The runs are not those of the manifest on disk.
    pub(super) new_runs: bool,
}

pub(super) fn open(
    folder: &Path,
    segments: &Segments,
    limits: Limits,
) -> Result<Recovered, StoreError> {
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    let lock = lock(folder)?;
    let files = Files::list(folder)?;
    let journal = match Journal::open(folder, true)? {
        Some(journal) => journal,
        None => match files.segments.first() {
            None => new_journal(folder)?,
            Some(_) => {
                let what = "it is missing, although there are blocks";
                let path = folder.join(journal::FILE_NAME);
                return Err(StoreError::damaged(&path, 0, what));
            }
        },
    };
    let known = known_index(folder, &journal)?;
    let mut new_runs = known.is_none();
    let (mut manifest, runs) = known.unwrap_or_else(|| unknown_index(&journal, &files));
    let end = End::find(&journal, segments, &files, &manifest)?;
    if end.last < journal.last()? && !new_runs {
        // Readers learn of the cut from the manifest. The second change keeps them from taking new
        // records for the old ones of the same number.
        manifest.epoch += 1;
        manifest.write(folder)?;
        journal.truncate(end.last)?;
        manifest.epoch += 1;
        manifest.write(folder)?;
    }
    // Also a piece of a record behind the last whole one.
    journal.truncate(end.last)?;

    let mut replay = Replay::new(folder, limits, &manifest, runs);
    match replay.recover(&journal, segments, &end) {
        Ok(()) => {}
        Err(StoreError::Damaged { .. }) if !new_runs => {
            (manifest, _) = unknown_index(&journal, &files);
            replay = Replay::new(folder, limits, &manifest, Runs::default());
            replay.recover(&journal, segments, &end)?;
        }
        Err(error) => return Err(error),
    }
    new_runs |= replay.spilled;
    manifest.next_run = replay.next_run;

    let (segment, offset) = settle(segments, &files, replay.position)?;
    let mut dirty = Vec::new();
    for segment in end.touched {
        dirty.push(Arc::new(segments.open_for_writing(segment)?));
    }
    let writer = Writer {
        _lock: lock,
        segment,
        offset,
        begun: offset,
        file: None,
        dirty,
        new_names: end.last > end.committed,
        unflushed_bytes: 0,
        uncommitted: end.last > end.committed,
        // Records that a killed writer did not come to sync are about to be called durable.
        journal_dirty: true,
        durable: end.committed,
        condemned: replay.condemned,
        failed: None,
        manifest,
    };
    Ok(Recovered {
        journal,
        state: replay.state,
        writer,
        new_runs,
    })
}

fn lock(folder: &Path) -> Result<FolderLock, StoreError> {
    FolderLock::acquire(&folder.join(LOCK)).map_err(|error| match error {
        LockError::Held { holder, .. } => StoreError::InUse {
            path: folder.to_owned(),
            holder,
        },
        LockError::Io { path, source } => StoreError::Io {
            operation: "lock",
            path,
            source,
        },
        other => StoreError::io("lock", folder)(io::Error::other(other)),
    })
}

fn new_journal(folder: &Path) -> Result<Journal, StoreError> {
    Journal::create(folder)?;
    let Some(journal) = Journal::open(folder, true)? else {
        let gone = io::ErrorKind::NotFound.into();
        return Err(StoreError::io("open the new journal in", folder)(gone));
    };
    Manifest::new(journal.store_id()).write(folder)?;
    Ok(journal)
}

/// The index as the manifest tells it, or `None` when it must be made again.
fn known_index(folder: &Path, journal: &Journal) -> Result<Option<(Manifest, Runs)>, StoreError> {
    let manifest = match Manifest::read(folder) {
        Ok(Some((manifest, _))) if manifest.store_id == journal.store_id() => manifest,
        Ok(_) | Err(StoreError::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut runs = Vec::new();
    for name in &manifest.runs {
        match Run::open(folder, name, journal.store_id()) {
            Ok(run) => runs.push(Arc::new(run)),
            Err(StoreError::Damaged { .. }) => return Ok(None),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some((manifest, runs.into())))
}

fn unknown_index(journal: &Journal, files: &Files) -> (Manifest, Runs) {
    let mut manifest = Manifest::new(journal.store_id());
    manifest.next_run = files.runs.iter().max().map_or(1, |last| last + 1);
    // Any that was not used before; which ones were is not known.
    manifest.epoch = RandomState::new().hash_one(manifest.next_run) >> 32;
    (manifest, Runs::default())
}

/// The files of the store that have numbers.
pub(super) struct Files {
    segments: BTreeSet<u32>,
    runs: BTreeSet<u64>,
}

impl Files {
    pub(super) fn list(folder: &Path) -> Result<Self, StoreError> {
        let mut files = Self {
            segments: BTreeSet::new(),
            runs: BTreeSet::new(),
        };
        let entries = fs::read_dir(folder).map_err(StoreError::io("list", folder))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", folder))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            files.segments.extend(Segments::number(&name));
            files.runs.extend(run_number(&name));
        }
        Ok(files)
    }

    /// The segments from number `first` on.
    pub(super) fn segments_from(&self, first: u32) -> impl Iterator<Item = u32> {
        self.segments.range(first..).copied()
    }

    /// Removes the files of runs that are not `used`.
    pub(super) fn sweep(&self, folder: &Path, used: &Runs) {
        for name in self.runs.iter().map(|number| run_name(*number)) {
            if !used.iter().any(|run| run.name() == name) {
                // It only takes room, and the next start tries again.
                let _ = fs::remove_file(folder.join(name));
            }
        }
    }
}

/// Where the journal ends, as far as it can be believed.
pub(super) struct End {
    /// The last good record.
    last: u64,
    /// The last commit, or what the index covers.
    committed: u64,
    /// Segments with blocks that were put since the last commit.
    touched: BTreeSet<u32>,
}

impl End {
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn committed(&self) -> u64 {
        self.committed
    }

    /// Finds the end, and writes into the journal what it lost and the segments still have.
    fn find(
        journal: &Journal,
        segments: &Segments,
        files: &Files,
        manifest: &Manifest,
    ) -> Result<Self, StoreError> {
        let covered = manifest.covered;
        let written = journal.last()?;
        if written < covered {
            let what = "it ends before what its index covers";
            let at = (written + 1) * RECORD_BYTES as u64;
            return Err(StoreError::damaged(journal.path(), at, what));
        }
        let position = (manifest.segment, manifest.offset);
        let tail = Tail::look(journal, segments, files, covered, position)?;
        for (number, raw) in &tail.mended {
            journal.mend(*number, raw)?;
        }
        if let Some((first, _)) = tail.mended.first() {
            let (path, records) = (journal.path().display(), tail.mended.len());
            tracing::warn!(%path, first, records, "records of the journal were made again");
        }
        let mut end = Self {
            last: tail.last,
            committed: tail.committed,
            touched: BTreeSet::new(),
        };
        // What no commit vouches for may have records without their payloads.
        let mut bad = None;
        journal.for_each(end.committed + 1, end.last, |records| {
            for record in records {
                let Body::Put(put) = &record.body else {
                    continue;
                };
                if bad.is_some() {
                    break;
                }
                // Its removal is durable, so a commit that is lost did vouch for it, and its
                // payload need not be there.
                if record.dead {
                    continue;
                }
                match segments.read(record.number, &put.place, journal.store_id()) {
                    Ok(block) if block.is_intact() => {
                        end.touched.insert(put.place.segment);
                    }
                    Ok(_) | Err(StoreError::Damaged { .. }) => bad = Some(record.number),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })?;
        if let Some(bad) = bad {
            end.last = bad - 1;
        }
        Ok(end)
    }
}

/// Takes away what was written behind the last good block, and says where the next one goes.
fn settle(
    segments: &Segments,
    files: &Files,
    (segment, offset): (u32, u64),
) -> Result<(u32, u64), StoreError> {
    for later in files.segments.range(segment + 1..) {
        let path = segments.path(*later);
        fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
    }
    if !files.segments.contains(&segment) {
        // Nothing is put behind a hole where blocks were.
        return Ok(if offset == 0 {
            (segment, 0)
        } else {
            (segment + 1, 0)
        });
    }
    let path = segments.path(segment);
    let length = fs::metadata(&path)
        .map_err(StoreError::io("look at", &path))?
        .len();
    if length < offset {
        return Ok((segment + 1, 0));
    }
    if length > offset {
        let file = segments.open_for_writing(segment)?;
        // Durable, so that no power cut brings back blocks whose numbers go to others.
        file.set_len(offset)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("truncate", &path))?;
    }
    Ok((segment, offset))
}

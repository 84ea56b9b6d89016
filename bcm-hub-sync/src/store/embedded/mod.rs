//! The default store: an append-only log of blocks with an index, in one folder.

mod index;
mod journal;
mod manifest;
mod merge;
mod reader;
mod record;
mod recover;
mod replay;
mod run;
mod scan;
mod segments;
#[cfg(test)]
mod tests;
mod writer;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{
    Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use bcm_core::atomic_file;
use bytes::Bytes;

use self::index::{RunLookup, Runs, State};
use self::journal::Journal;
use self::reader::Reader;
use self::record::Record;
use self::run::Slot;
use self::segments::{RawBlock, Segments};
use self::writer::Writer;
use super::{BlockInfo, BlockStore, Cursor, Direction, StoreError, StoreStats, VerifiedBlock};
use crate::block::BlockKey;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading and writing; makes the store where there is none. One at a time.
    ReadWrite,
    /// For reading, next to other readers and a writer. Nothing is written; a store that does not
    /// exist yet is empty until somebody makes it.
    ReadOnly,
}

/// What bounds the store's memory and the work of a restart. Tests use small ones.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A segment is full when the next block would end behind this.
    segment_bytes: u32,
    /// The table in memory becomes a run at this size.
    tail_records: usize,
    /// That much payload may be put before the store flushes by itself.
    unflushed_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 20,
            tail_records: 64 << 10,
            unflushed_bytes: 256 << 20,
        }
    }
}

/// A store in a folder. See the [module's page](self).
#[derive(Debug)]
pub struct EmbeddedStore {
    folder: PathBuf,
    limits: Limits,
    segments: Segments,
    /// Set from the start, but for a reader whose store does not exist yet.
    journal: OnceLock<Journal>,
    /// Held for moments, never while a file is read or written.
    state: RwLock<State>,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Writer(Box<Mutex<Writer>>),
    Reader(Mutex<Reader>),
}

impl EmbeddedStore {
    /// Opens the store in `folder`. For writing, what a crash left unfinished is cut off.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when somebody else writes to it; [`StoreError::Damaged`] when what
    /// had been made durable is no longer there; the operating system refused.
    pub fn open(folder: impl Into<PathBuf>, access: Access) -> Result<Self, StoreError> {
        Self::open_with(folder.into(), access, Limits::default())
    }

    fn open_with(folder: PathBuf, access: Access, limits: Limits) -> Result<Self, StoreError> {
        let segments = Segments::new(&folder);
        match access {
            Access::ReadOnly => {
                let store = Self {
                    segments,
                    folder,
                    limits,
                    journal: OnceLock::new(),
                    state: RwLock::default(),
                    role: Role::Reader(Mutex::default()),
                };
                store.current()?;
                Ok(store)
            }
            Access::ReadWrite => {
                let recovered = recover::open(&folder, &segments, limits)?;
                let store = Self {
                    segments,
                    folder,
                    limits,
                    journal: OnceLock::from(recovered.journal),
                    state: RwLock::new(recovered.state),
                    role: Role::Writer(Box::new(Mutex::new(recovered.writer))),
                };
                {
                    let mut writer = store.writer()?;
                    store.flush_with(&mut writer)?;
                    if recovered.new_runs {
                        store.spill(&mut writer)?;
                    }
                    let runs = store.state().runs.clone();
                    recover::Files::list(&store.folder)?.sweep(&store.folder, &runs);
                }
                Ok(store)
            }
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        match &self.role {
            Role::Writer(writer) => Ok(writer.lock().unwrap_or_else(PoisonError::into_inner)),
            Role::Reader(_) => Err(StoreError::ReadOnly),
        }
    }

    /// The journal, after what another process has written was taken in. `None` while there is no
    /// store.
    fn current(&self) -> Result<Option<&Journal>, StoreError> {
        let Role::Reader(reader) = &self.role else {
            return Ok(self.journal.get());
        };
        if let Some(journal) = self.journal.get()
            && journal.last()? == self.state().end
        {
            return Ok(Some(journal));
        }
        self.follow(&mut reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the block of `key` is, as far as this process knows.
    fn find(&self, journal: &Journal, key: &BlockKey) -> Result<Option<Slot>, StoreError> {
        let runs = {
            let state = self.state();
            if let Some(slot) = state.tail.get(key) {
                return Ok(Some(*slot).filter(|slot| !slot.removed));
            }
            state.runs.clone()
        };
        Ok(index::find_in_runs(&runs, key, journal)?.filter(|slot| !slot.removed))
    }

    fn contains_in(&self, journal: &Journal, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        let mut held = vec![false; keys.len()];
        let mut rest = Vec::new();
        let runs = {
            let state = self.state();
            for (at, key) in keys.iter().enumerate() {
                match state.tail.get(key) {
                    Some(slot) => held[at] = !slot.removed,
                    None => rest.push(at),
                }
            }
            state.runs.clone()
        };
        let mut lookup = RunLookup::new(runs, journal);
        for at in rest {
            held[at] = lookup.find(&keys[at])?.is_some_and(|slot| !slot.removed);
        }
        Ok(held)
    }

    /// Does `look`, once more with a new index when a page of the old one turns out to be damaged.
    /// Only a writer can make one.
    fn healing<T>(&self, look: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match look() {
            Err(StoreError::Damaged { what, .. })
                if what == run::BAD_PAGE && matches!(self.role, Role::Writer(_)) =>
            {
                let mut writer = self.writer()?;
                // Another thread may have seen it first.
                look().or_else(|_| {
                    self.rebuild(&mut writer)?;
                    look()
                })
            }
            other => other,
        }
    }

    /// Does `read` with the block's place, again if that changed under its feet.
    fn with_slot<T>(
        &self,
        key: &BlockKey,
        read: impl Fn(&Journal, &Slot) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut tried = None;
        loop {
            let Some(journal) = self.current()? else {
                return Ok(None);
            };
            let Some(slot) = self.healing(|| self.find(journal, key))? else {
                return Ok(None);
            };
            match read(journal, &slot) {
                // It may have been removed, and its room given back, since we looked it up.
                Err(StoreError::Damaged { .. }) if tried != Some(slot) => tried = Some(slot),
                other => return other.map(Some),
            }
        }
    }
}

fn describe(
    record: &Record,
    journal: &Journal,
    key: &BlockKey,
    size: u32,
    timestamp: u32,
) -> BlockInfo {
    BlockInfo {
        key: *key,
        size,
        timestamp,
        cursor: record.cursor(journal.store_id()),
    }
}

impl BlockStore for EmbeddedStore {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        self.with_slot(key, |journal, slot| {
            let block: RawBlock =
                self.segments
                    .read(slot.number, &slot.place, journal.store_id())?;
            match block.put() {
                Some(put) if put.key == *key && block.is_intact() => {
                    let info = describe(&block.record, journal, key, put.place.size, put.timestamp);
                    Ok((info, block.payload))
                }
                _ => Err(self.segments.changed(&slot.place)),
            }
        })
    }

    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        self.with_slot(key, |journal, slot| {
            let record = journal.record(slot.number)?;
            match record.as_ref().map(|record| &record.body) {
                Some(record::Body::Put(put)) if put.key == *key => Ok(record
                    .as_ref()
                    .map(|record| describe(record, journal, key, put.place.size, put.timestamp))),
                _ => Err(journal.bad_record(slot.number)),
            }
        })
        .map(Option::flatten)
    }

    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        match self.current()? {
            Some(journal) => self.healing(|| self.contains_in(journal, keys)),
            None => Ok(vec![false; keys.len()]),
        }
    }

    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        self.put_with(&mut *self.writer()?, blocks)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.flush_with(&mut *self.writer()?)
    }

    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        self.remove_with(&mut *self.writer()?, keys)
    }

    fn read(&self, blocks: &[BlockInfo]) -> Vec<Result<Option<Bytes>, StoreError>> {
        match self.journal.get() {
            Some(journal) => self.read_in(journal, blocks),
            None => blocks.iter().map(|_| Ok(None)).collect(),
        }
    }

    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        match self.current()? {
            Some(journal) => self.scan_in(journal, after, direction, limit),
            None if after.is_some() => Err(StoreError::UnknownCursor),
            None => Ok(Vec::new()),
        }
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        if self.current()?.is_none() {
            return Ok(StoreStats::default());
        }
        let totals = self.state().totals;
        Ok(StoreStats {
            blocks: totals.blocks,
            payload_bytes: totals.payload_bytes,
            disk_bytes: disk_bytes(&self.folder)?,
        })
    }

    fn generation(&self) -> Result<u64, StoreError> {
        self.current()?;
        let state = self.state();
        Ok(state.end ^ state.epoch << 40)
    }
}

/// What the files really take; one look for each 256 MiB.
fn disk_bytes(folder: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(StoreError::io("list", folder))? {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        match entry.metadata() {
            Ok(metadata) => bytes += metadata.blocks() * 512,
            // A run that was merged just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("look at", &entry.path())(error)),
        }
    }
    Ok(bytes)
}

fn write_atomically(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    atomic_file::write(path, content, 0o644).map_err(|error| replace_error(path, error))
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    atomic_file::sync_dir(folder).map_err(|error| replace_error(folder, error))
}

/// Keeps the error's kind, by which a full disk is told from the rest.
fn replace_error(path: &Path, error: atomic_file::AtomicFileError) -> StoreError {
    let kind = error.io_error().kind();
    StoreError::io("write", path)(io::Error::new(kind, error))
}

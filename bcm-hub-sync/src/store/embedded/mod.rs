//! The default store: an append-only log of blocks with an index, in one folder.
//!
//! ```text
//! journal             what was put and removed, in order: 64 bytes a record
//! blocks-000001.data  the payloads, each behind a copy of its record; up to 256 MiB a segment
//! index-000001.run    key → place, sorted; a handful of files
//! manifest            which runs there are, and up to which record they cover the journal
//! lock                held by the one process that writes
//! ```
//!
//! # How it works
//!
//! **Put** appends the payloads to the last segment, then their records to the journal, then enters
//! the keys in a table in memory. A payload is written once, from where the caller has it. When the
//! table has 64 Ki keys, it is written as a sorted run; runs of like size are merged, so that there
//! are about log₄(keys / 64 Ki) of them. What is in memory does not grow with the number of blocks:
//! the table, 32 KiB a run, and 64 open segments.
//!
//! **Get** looks in the table, then in the runs, newest first, one 4 KiB page in each: keys are
//! hashes, so where a key would be is known well enough beforehand. One more read brings record and
//! payload; the whole key and the payload's CRC-32 are compared. The CRC is about a tenth of the work,
//! and tells a block whose room has just been given back from one that is there, so it is always
//! made.
//!
//! **Scan** reads the journal. A cursor is the number of a record and its CRC, good for as long as the
//! store lives.
//!
//! **Remove** appends a record, makes it durable, and only then marks the block's record and punches
//! a hole where its payload was. Where the file system cannot do that, the room stays taken.
//!
//! **Flush** syncs the segments, appends a commit record, and syncs the journal. So a commit vouches for
//! all payloads before it. Put flushes by itself every 256 MiB.
//!
//! # After a crash
//!
//! The next writer reads the journal from where the runs end. What a commit calls durable had been:
//! if a record is bad there, that is damage, and opening says where. What comes after it may be there
//! in part, in any order. A record that is not whole is made again from the copy in front of its
//! payload. Where that cannot be, the rest is cut off if none of it can have been durable; otherwise
//! it is damage, too. Without a commit behind it, a record is good only with its whole payload. A
//! failed `fsync` leaves open what is on disk, so the store takes no more writes until it is opened
//! again. The index can always be made again from the journal, and is when any of it is missing or
//! damaged.
//!
//! # Other processes
//!
//! Readers need no lock. Each lookup compares the length of the journal with what it has seen; when
//! there is more, the new records are read, and new runs when the manifest has changed. A record that
//! is not whole is not there yet. Its payload was written before it, so it can be read at once. A
//! reader that opens a store after a power cut, before any writer did, may list blocks that were
//! being put at that moment and then find them damaged; nothing that was flushed is among them.
//!
//! # Why not a key–value store
//!
//! A block store has no updates, keys that are evenly spread by nature, and one order that matters,
//! which is not that of the keys. Engines for everything pay for what is not needed here: fjall 3.1
//! writes a payload to its journal and again to its blob file, and opens in one process only; redb 4.5
//! (which does let other processes read) rounds a payload up to a power of two and writes its trees
//! anew; both need a second table for the order of insertion, and hold caches.
//!
//! Measured with `cargo bench -p bcm-tests --bench store`: durable every 64 MiB, read from the page
//! cache by one thread, memory beyond what the program takes anyway, opened after a crash. Ratios of
//! ingest and reads are to one file that is appended to and read at known places.
//!
//! | 10 kB blocks    | ingest | written | on disk | reads | reads/s of CPU | restart | memory  |
//! |-----------------|--------|---------|---------|-------|----------------|---------|---------|
//! | this store      | 0.77   | 1.01    | 1.01    | 0.83  | 249,000        | 21 ms   | 3 MiB   |
//! | fjall, blobs    | 0.20   | 1.76    | 1.01    | 0.37  | 111,000        | 143 ms  | 132 MiB |
//! | redb            | 0.15   | 1.67    | 1.65    | 0.38  | 113,000        | 662 ms  | 67 MiB  |
//! | a file a block  | 0.01   | 1.63    | 1.29    | 0.29  | 87,000         | none    | none    |
//!
//! | 500 kB blocks   | ingest | written | on disk | reads | restart |
//! |-----------------|--------|---------|---------|-------|---------|
//! | this store      | 0.95   | 1.00    | 1.00    | 0.67  | 3 ms    |
//! | fjall, blobs    | 0.45   | 1.76    | 1.00    | 0.85  | 66 ms   |
//! | redb            | 0.61   | 1.10    | 1.05    | 0.88  | 208 ms  |
//! | a file a block  | 0.59   | 1.02    | 1.02    | 0.98  | none    |
//!
//! | a million keys (100 B blocks) | memory while filling | while reading | restart | absent keys/s of CPU |
//! |-------------------------------|----------------------|---------------|---------|----------------------|
//! | this store                    | 16 MiB               | 5 MiB         | 26 ms   | 375,000              |
//! | fjall                         | 170 MiB              | 124 MiB       | 3.0 s   | 238,000              |
//! | redb                          | 72 MiB               | 66 MiB        | 1.2 s   | 165,000              |
//!
//! The first two tables are medians of three runs over 256 MiB, the last is one run; ext4, two cores
//! that other work shared, so that only large differences mean anything. Reads of 500 kB are where
//! this store is last: the CRC over all of it is what they pay for.

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
mod tail;
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
    /// Held for writing for moments only, never while a file is read or written.
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

    fn audit(&self) -> Result<(), StoreError> {
        match self.current()? {
            Some(journal) => self.audit_in(journal),
            None => Ok(()),
        }
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

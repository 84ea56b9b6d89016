//! The writing side: put, remove, flush, and the moments when the table in memory becomes a run.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bcm_core::lock::FolderLock;

use super::EmbeddedStore;
use super::journal::Journal;
use super::manifest::Manifest;
use super::record::{Body, MAX_NUMBER, MAX_SEGMENT, Place, Put, RECORD_BYTES, RawRecord, Record};
use super::replay::Replay;
use super::run::Slot;
use super::{Runs, merge, recover, segments, sync_folder};
use crate::block::BlockKey;
use crate::store::{StoreError, VerifiedBlock};

/// Blocks that are written and entered together.
const APPEND_BLOCKS: usize = 512;

/// The disk begins with what was put each time there is this much of it, so that a flush, which
/// waits for it, finds most of it done.
const WRITE_BEHIND: u64 = 8 << 20;

/// What the system's cache of files is made of.
const PAGE: u64 = 4096;

/// What only the writer knows.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) _lock: FolderLock,
    /// As it is on disk.
    pub(super) manifest: Manifest,
    /// Where the next block goes. The file is opened when it is needed.
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// The disk was told to begin with what is before this in the segment.
    pub(super) begun: u64,
    pub(super) file: Option<Arc<File>>,
    /// Segments that were written since they were last synced.
    pub(super) dirty: Vec<Arc<File>>,
    /// Files were made since the folder was last synced.
    pub(super) new_names: bool,
    /// Bytes of payload that were put since the last commit.
    pub(super) unflushed_bytes: u64,
    /// There are records since the last commit.
    pub(super) uncommitted: bool,
    /// The journal was written since it was last synced.
    pub(super) journal_dirty: bool,
    /// This many records of the journal are durable.
    pub(super) durable: u64,
    /// Removed blocks (the numbers of their puts) whose removal is not durable yet, so that their
    /// room must not be given back yet.
    pub(super) condemned: Vec<(u64, Place)>,
    /// A sync failed, after which nobody knows what is on disk.
    pub(super) failed: Option<&'static str>,
}

impl EmbeddedStore {
    pub(super) fn put_with(
        &self,
        writer: &mut Writer,
        blocks: &[VerifiedBlock],
    ) -> Result<u64, StoreError> {
        let journal = self.writable_journal(writer)?;
        let fresh = match self.fresh(journal, blocks) {
            Err(StoreError::Damaged { .. }) => {
                self.rebuild(writer)?;
                self.fresh(journal, blocks)?
            }
            other => other?,
        };
        let mut rest = fresh.as_slice();
        while let Some(first) = rest.first() {
            let mut end = writer.offset + room_of(first);
            if writer.offset > 0 && end > u64::from(self.limits.segment_bytes) {
                self.roll(writer)?;
                end = room_of(first);
            }
            let mut count = 1;
            while let Some(next) = rest.get(count)
                && count < APPEND_BLOCKS
                && end + room_of(next) <= u64::from(self.limits.segment_bytes)
            {
                end += room_of(next);
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            self.append(writer, journal, now)?;
            rest = later;
            if writer.unflushed_bytes >= self.limits.unflushed_bytes {
                self.flush_with(writer)?;
            }
            if self.state().tail.len() >= self.limits.tail_records {
                self.spill(writer)?;
            }
        }
        Ok(fresh.len() as u64)
    }

    /// Those of `blocks` that are not here, each once, in the order given.
    fn fresh<'b>(
        &self,
        journal: &Journal,
        blocks: &'b [VerifiedBlock],
    ) -> Result<Vec<&'b VerifiedBlock>, StoreError> {
        let mut seen = HashSet::with_capacity(blocks.len());
        let mut fresh: Vec<&VerifiedBlock> = blocks
            .iter()
            .filter(|block| seen.insert(*block.key()))
            .collect();
        let keys: Vec<BlockKey> = fresh.iter().map(|block| *block.key()).collect();
        let mut held = self.contains_in(journal, &keys)?.into_iter();
        fresh.retain(|_| held.next() == Some(false));
        Ok(fresh)
    }

    /// Writes `blocks` to the current segment, where there is room for them, and enters them.
    fn append(
        &self,
        writer: &mut Writer,
        journal: &Journal,
        blocks: &[&VerifiedBlock],
    ) -> Result<(), StoreError> {
        let first = self.state().end + 1;
        let start = writer.offset;
        let mut offset = start;
        let mut raw: Vec<RawRecord> = Vec::with_capacity(blocks.len());
        for (block, number) in blocks.iter().zip(first..) {
            let place = Place {
                segment: writer.segment,
                // A segment's limit is far below 4 GiB, and a block that is alone starts at 0.
                offset: u32::try_from(offset).map_err(|_| self.exhausted())?,
                size: u32::try_from(block.payload().len()).map_err(|_| self.exhausted())?,
            };
            offset = place.end();
            let put = Put {
                key: *block.key(),
                place,
                timestamp: block.timestamp(),
                payload_crc: crc32fast::hash(block.payload()),
            };
            raw.push(Record::encode(number, &Body::Put(put), journal.store_id()));
        }
        let file = self.current_file(writer)?;
        if let Err(error) = self.segments.write_at(&file, &raw, blocks, start) {
            // Gives the room back; if that fails too, the next append overwrites what is there.
            let _ = file.set_len(start);
            return Err(StoreError::io("write", &self.segments.path(writer.segment))(error));
        }
        let (records, error) = self.enter(writer, journal, first, raw.as_flattened());
        let written = match raw.get(records) {
            None => offset,
            // The journal took only some of them, and the rest never was.
            Some(next) => {
                let at = Record::decode(next, journal.store_id());
                let end = match at.map(|record| record.body) {
                    Some(Body::Put(put)) => u64::from(put.place.offset),
                    _ => start,
                };
                let _ = file.set_len(end);
                end
            }
        };
        writer.unflushed_bytes += written - start;
        writer.offset = written;
        if written.saturating_sub(writer.begun) >= WRITE_BEHIND {
            // The page that the next block goes on in would be written twice.
            let whole_pages = written / PAGE * PAGE;
            segments::begin_writing(&file, writer.begun..whole_pages);
            writer.begun = whole_pages;
        }
        match error {
            None => Ok(()),
            Some(error) => Err(StoreError::io("write", journal.path())(error)),
        }
    }

    /// Appends records to the journal and to the index. Returns how many made it.
    fn enter(
        &self,
        writer: &mut Writer,
        journal: &Journal,
        first: u64,
        raw: &[u8],
    ) -> (usize, Option<io::Error>) {
        let (records, error) = journal.append(first, raw);
        writer.journal_dirty = true;
        writer.uncommitted |= records > 0;
        let (slots, _) = raw.as_chunks::<RECORD_BYTES>();
        let mut state = self.state_mut();
        for (slot, number) in slots.iter().zip(first..).take(records) {
            if let Some(record) = journal.decode(number, slot) {
                state.apply(&record);
            }
        }
        (records, error)
    }

    fn current_file(&self, writer: &mut Writer) -> Result<Arc<File>, StoreError> {
        if let Some(file) = &writer.file {
            if !writer.dirty.iter().any(|dirty| Arc::ptr_eq(dirty, file)) {
                writer.dirty.push(Arc::clone(file));
            }
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(self.segments.open_for_writing(writer.segment)?);
        writer.new_names = true;
        writer.dirty.push(Arc::clone(&file));
        writer.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Goes on to the next segment.
    fn roll(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if writer.segment >= MAX_SEGMENT {
            return Err(self.exhausted());
        }
        writer.segment += 1;
        writer.offset = 0;
        writer.begun = 0;
        writer.file = None;
        Ok(())
    }

    fn exhausted(&self) -> StoreError {
        StoreError::io("number the next block in", &self.folder)(io::ErrorKind::FileTooLarge.into())
    }

    pub(super) fn remove_with(
        &self,
        writer: &mut Writer,
        keys: &[BlockKey],
    ) -> Result<u64, StoreError> {
        let journal = self.writable_journal(writer)?;
        let removals = match self.held(journal, keys) {
            Err(StoreError::Damaged { .. }) => {
                self.rebuild(writer)?;
                self.held(journal, keys)?
            }
            other => other?,
        };
        if removals.is_empty() {
            return Ok(0);
        }
        let first = self.state().end + 1;
        let mut raw = Vec::with_capacity(removals.len() * RECORD_BYTES);
        for ((key, slot), number) in removals.iter().zip(first..) {
            let body = Body::Removed {
                key: *key,
                place: slot.place,
                number: slot.number,
            };
            raw.extend_from_slice(&Record::encode(number, &body, journal.store_id()));
        }
        let (records, error) = self.enter(writer, journal, first, &raw);
        let entered = removals.iter().take(records);
        writer
            .condemned
            .extend(entered.map(|(_, slot)| (slot.number, slot.place)));
        if let Some(error) = error {
            return Err(StoreError::io("write", journal.path())(error));
        }
        // Only a durable removal may give room back: the other way round, a power cut would bring
        // back a block without its payload.
        self.flush_with(writer)?;
        if self.state().tail.len() >= self.limits.tail_records {
            self.spill(writer)?;
        }
        Ok(records as u64)
    }

    /// Those of `keys` that are here, each once.
    fn held(
        &self,
        journal: &Journal,
        keys: &[BlockKey],
    ) -> Result<Vec<(BlockKey, Slot)>, StoreError> {
        let mut seen = HashSet::with_capacity(keys.len());
        let mut held = Vec::new();
        for key in keys {
            if seen.insert(*key)
                && let Some(slot) = self.find(journal, key)?
            {
                held.push((*key, slot));
            }
        }
        Ok(held)
    }

    pub(super) fn flush_with(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let journal = self.writable_journal(writer)?;
        // Payloads first, then the records that promise them.
        for file in &writer.dirty {
            if let Err(error) = file.sync_data() {
                writer.failed = Some("sync a segment");
                return Err(StoreError::io("sync the blocks in", &self.folder)(error));
            }
        }
        writer.dirty.clear();
        if writer.new_names {
            sync_folder(&self.folder).inspect_err(|_| writer.failed = Some("sync its folder"))?;
            writer.new_names = false;
        }
        if writer.uncommitted {
            let number = self.state().end + 1;
            let body = Body::Commit {
                durable: writer.durable,
            };
            let raw = Record::encode(number, &body, journal.store_id());
            if let (_, Some(error)) = self.enter(writer, journal, number, &raw) {
                return Err(StoreError::io("write", journal.path())(error));
            }
        }
        if writer.journal_dirty {
            journal
                .sync()
                .inspect_err(|_| writer.failed = Some("sync its journal"))?;
        }
        writer.durable = self.state().end;
        writer.uncommitted = false;
        writer.journal_dirty = false;
        writer.unflushed_bytes = 0;
        self.bury(writer, journal)
    }

    /// Gives back the room of blocks whose removal is durable.
    fn bury(&self, writer: &mut Writer, journal: &Journal) -> Result<(), StoreError> {
        if writer.condemned.is_empty() {
            return Ok(());
        }
        writer.journal_dirty = true;
        for (number, _) in &writer.condemned {
            journal.mark_dead(*number)?;
        }
        let mut places = writer.condemned.drain(..).map(|(_, place)| place).collect();
        self.segments.free(&mut places);
        Ok(())
    }

    /// Moves the table in memory into a run, and makes that the point from which a restart reads
    /// the journal.
    pub(super) fn spill(&self, writer: &mut Writer) -> Result<(), StoreError> {
        self.flush_with(writer)?;
        let journal = self.writable_journal(writer)?;
        let name = recover::run_name(writer.manifest.next_run);
        writer.manifest.next_run += 1;
        // No one else changes the state while the writer is held; readers go on with it.
        let spilled = {
            let state = self.state();
            merge::spill(&self.folder, &name, &state.tail, &state.runs, journal)
        };
        match spilled {
            Ok(runs) => self.use_runs(writer, journal, runs),
            Err(StoreError::Damaged { .. }) => self.rebuild(writer),
            Err(error) => Err(error),
        }
    }

    /// Makes the whole index again: it is damaged, and the journal has all that it takes.
    pub(super) fn rebuild(&self, writer: &mut Writer) -> Result<(), StoreError> {
        self.flush_with(writer)?;
        let journal = self.writable_journal(writer)?;
        let mut nothing = Manifest::new(journal.store_id());
        nothing.next_run = writer.manifest.next_run;
        let mut replay = Replay::new(&self.folder, self.limits, &nothing, Runs::default());
        let end = self.state().end;
        replay.records(journal, end, |_| Ok(()))?;
        replay.spill(journal)?;
        writer.manifest.next_run = replay.next_run;
        self.use_runs(writer, journal, replay.state.runs)
    }

    /// Goes on with `runs`, which cover all of the journal.
    fn use_runs(
        &self,
        writer: &mut Writer,
        journal: &Journal,
        runs: Runs,
    ) -> Result<(), StoreError> {
        if writer.journal_dirty {
            journal
                .sync()
                .inspect_err(|_| writer.failed = Some("sync its journal"))?;
            writer.journal_dirty = false;
        }
        let mut manifest = writer.manifest.clone();
        {
            let state = self.state();
            manifest.covered = state.end;
            manifest.blocks = state.totals.blocks;
            manifest.payload_bytes = state.totals.payload_bytes;
        }
        manifest.segment = writer.segment;
        manifest.offset = writer.offset;
        manifest.runs = runs.iter().map(|run| run.name().to_owned()).collect();
        manifest.write(&self.folder)?;
        let old = {
            let mut state = self.state_mut();
            state.tail.clear();
            std::mem::replace(&mut state.runs, runs)
        };
        for run in old.iter() {
            if !manifest.runs.iter().any(|name| name == run.name()) {
                // Readers that have it open go on; what stays is removed at the next start.
                let _ = std::fs::remove_file(run.path());
            }
        }
        writer.manifest = manifest;
        Ok(())
    }

    fn writable_journal(&self, writer: &Writer) -> Result<&Journal, StoreError> {
        if let Some(operation) = writer.failed {
            return Err(StoreError::Failed {
                path: self.folder.clone(),
                operation,
            });
        }
        let full = self.state().end >= MAX_NUMBER - (1 << 20);
        match self.journal.get() {
            Some(_) if full => Err(self.exhausted()),
            Some(journal) => Ok(journal),
            None => Err(StoreError::ReadOnly),
        }
    }
}

/// Bytes that a block takes in a segment.
fn room_of(block: &VerifiedBlock) -> u64 {
    RECORD_BYTES as u64 + block.payload().len() as u64
}

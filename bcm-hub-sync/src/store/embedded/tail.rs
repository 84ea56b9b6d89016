//! What the end of a journal is worth: whole, torn by a crash, to be mended, or damaged.
//!
//! The records up to the last commit that a later one calls durable must be there. What comes after
//! them may have been on its way to the disk when the power went, page by page in any order, so
//! that a commit may stand behind records that are not there. But its payloads had been synced
//! before it was written, and in front of each payload is a copy of its record: what the journal
//! lost of them is made again from the segments. A record that cannot be made again is
//!
//! - the torn end, if nothing that is intact follows it, or if it was never written (then it is
//!   zeros) and no commit behind it vouches for a block;
//! - damage otherwise, since cutting there could take blocks that were durable.

use std::fs;
use std::io;

use super::journal::Journal;
use super::record::{Body, RECORD_BYTES, RawRecord, Record};
use super::recover::Files;
use super::segments::Segments;
use crate::store::StoreError;

/// How many records are looked at together.
const CHUNK: usize = 4096;

/// Where the journal ends, as far as it can be believed.
#[derive(Debug)]
pub(super) struct Tail {
    /// The last record that is good or can be made again.
    pub(super) last: u64,
    /// The last commit up to there, or what the index covers.
    pub(super) committed: u64,
    /// Records that are bad in the journal, with what belongs there.
    pub(super) mended: Vec<(u64, RawRecord)>,
    /// Segment and offset behind the last block.
    position: (u32, u64),
}

/// A record that is bad and cannot be made again.
struct Lost {
    number: u64,
    /// As of a page that the disk did not get.
    zeros: bool,
}

impl Tail {
    /// Looks at what follows record `covered`, with which the blocks end at `position`. Writes
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first record that is bad and had been durable, or may
    /// have been.
    pub(super) fn look(
        journal: &Journal,
        segments: &Segments,
        files: &Files,
        covered: u64,
        position: (u32, u64),
    ) -> Result<Self, StoreError> {
        let written = journal.last()?;
        let mut tail = Self {
            last: covered,
            committed: covered,
            mended: Vec::new(),
            position,
        };
        let good = journal.for_each(covered + 1, written, |records| {
            records.iter().for_each(|record| tail.take(record));
            Ok(())
        })?;
        tail.look_behind(journal, segments, files, good, written)?;
        Ok(tail)
    }

    fn take(&mut self, record: &Record) {
        self.last = record.number;
        match &record.body {
            Body::Put(put) => self.position = (put.place.segment, put.place.end()),
            Body::Commit { .. } => self.committed = record.number,
            Body::Removed { .. } => {}
        }
    }

    /// Goes on behind `good`, the last record before the first bad one.
    fn look_behind(
        &mut self,
        journal: &Journal,
        segments: &Segments,
        files: &Files,
        good: u64,
        written: u64,
    ) -> Result<(), StoreError> {
        let mut lost: Option<Lost> = None;
        let mut raw = Vec::new();
        let mut first = good + 1;
        while first <= written {
            journal.read_raw(first, CHUNK, &mut raw)?;
            let (slots, _): (&[RawRecord], _) = raw.as_chunks();
            if slots.is_empty() {
                break;
            }
            for (slot, number) in slots.iter().zip(first..) {
                let Some(record) = journal.decode(number, slot) else {
                    if lost.is_none() {
                        match self.copy_of(number, journal, segments)? {
                            Some((copy, record)) => {
                                self.mended.push((number, copy));
                                self.take(&record);
                            }
                            None => {
                                let zeros = slot.iter().all(|byte| *byte == 0);
                                lost = Some(Lost { number, zeros });
                            }
                        }
                    }
                    continue;
                };
                let commit = match record.body {
                    Body::Commit { durable } => Some(durable),
                    _ => None,
                };
                if commit.is_some_and(|durable| durable > good) {
                    return Err(journal.bad_record(good + 1));
                }
                match &lost {
                    None => self.take(&record),
                    // Torn, but with nothing to lose: removals that had not been told done.
                    Some(lost) if lost.zeros => {
                        if commit.is_some() && self.blocks_follow(segments, files)? {
                            return Err(journal.bad_record(lost.number));
                        }
                    }
                    Some(lost) => return Err(journal.bad_record(lost.number)),
                }
            }
            first += slots.len() as u64;
        }
        Ok(())
    }

    /// What record `number` was, by the copy in front of its payload: `None` when it was no put, or
    /// its block is not there.
    fn copy_of(
        &self,
        number: u64,
        journal: &Journal,
        segments: &Segments,
    ) -> Result<Option<(RawRecord, Record)>, StoreError> {
        let (segment, offset) = self.position;
        for (segment, offset) in [(segment, offset), (segment + 1, 0)] {
            let bytes = match segments.read_range(segment, offset, RECORD_BYTES) {
                Ok(bytes) => bytes,
                // No such file, or it ends before.
                Err(StoreError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            let Some((raw, record)) = bytes.first_chunk().and_then(|raw: &RawRecord| {
                let record = Record::decode(raw, journal.store_id())?;
                Some((*raw, record))
            }) else {
                continue;
            };
            match &record.body {
                Body::Put(put) if put.place.is_at(segment, offset) => {}
                _ => continue,
            }
            if record.number == number {
                return Ok(Some((raw, record)));
            }
            // A block follows at once, so the record was a commit, which had been durable before
            // that block was put; or a removal, if the disk was full just then. The start of
            // the next segment says nothing of what else was put at the end of this one.
            if record.number > number && (segment, offset) == self.position {
                return Err(journal.bad_record(number));
            }
        }
        Ok(None)
    }

    /// Whether the segments go on behind the last block that is known.
    fn blocks_follow(&self, segments: &Segments, files: &Files) -> Result<bool, StoreError> {
        let (segment, offset) = self.position;
        for number in files.segments_from(segment) {
            let known = if number == segment { offset } else { 0 };
            let path = segments.path(number);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() > known => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("look at", &path)(error)),
            }
        }
        Ok(false)
    }
}

//! Going through all of the store.

use bytes::Bytes;

use super::EmbeddedStore;
use super::journal::Journal;
use super::record::{Body, Place, RawRecord, Record, claimed_number};
use crate::store::{BlockInfo, Cursor, Direction, StoreError};

/// Records that a scan reads at a time.
const CHUNK: u64 = 1024;

/// Neighbouring blocks are read together up to this many bytes.
const READ_TOGETHER: u64 = 4 << 20;

impl EmbeddedStore {
    pub(super) fn scan_in(
        &self,
        journal: &Journal,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        let end = self.state().end;
        let after = match after {
            Some(cursor) => Some(number_of(journal, cursor, end)?),
            None => None,
        };
        // What is still to be looked at.
        let (mut first, mut last) = match direction {
            Direction::Forward => (after.map_or(1, |number| number + 1), end),
            Direction::Backward => (1, after.map_or(end, |number| number - 1)),
        };
        let mut found = Vec::new();
        let mut raw = Vec::new();
        while first <= last && found.len() < limit {
            // Most records are live blocks, so little more than what is wanted is read.
            let wanted = (limit - found.len()) as u64 + 16;
            let count = wanted.min(CHUNK).min(last - first + 1);
            let start = match direction {
                Direction::Forward => first,
                Direction::Backward => last + 1 - count,
            };
            journal.read_raw(start, count as usize, &mut raw)?;
            let (slots, _): (&[RawRecord], _) = raw.as_chunks();
            let live = |(at, slot): (usize, &RawRecord)| {
                let number = start + at as u64;
                match journal.decode(number, slot) {
                    Some(record) => Ok(describe(journal, &record)),
                    None => Err(journal.bad_record(number)),
                }
            };
            if (slots.len() as u64) < count {
                return Err(journal.bad_record(start + slots.len() as u64));
            }
            let records = slots.iter().enumerate();
            let room = limit - found.len();
            match direction {
                Direction::Forward => {
                    first += count;
                    collect(records.map(live), room, &mut found)?;
                }
                Direction::Backward => {
                    last -= count;
                    collect(records.rev().map(live), room, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    pub(super) fn read_in(
        &self,
        journal: &Journal,
        blocks: &[BlockInfo],
    ) -> Vec<Result<Option<Bytes>, StoreError>> {
        let mut answers = Vec::with_capacity(blocks.len());
        let records = self.records_of(journal, blocks);
        let mut rest = records.as_slice();
        while let Some(first) = rest.first() {
            let together = neighbours(rest);
            let (now, later) = rest.split_at(together.max(1));
            rest = later;
            let bytes = match first {
                Ok(Some((_, place))) if together > 1 => {
                    let end = now.last().and_then(place_of).map_or(0, |last| last.end());
                    let start = u64::from(place.offset);
                    let length = end.saturating_sub(start) as usize;
                    // When this fails, each is tried alone, to see which one it is.
                    self.segments
                        .read_range(place.segment, start, length)
                        .ok()
                        .map(|bytes| (start, bytes))
                }
                _ => None,
            };
            for (record, block) in now.iter().zip(&blocks[answers.len()..]) {
                let payload = match (record, &bytes) {
                    (Ok(Some((number, place))), Some((start, bytes))) => {
                        let from = (u64::from(place.offset) - start) as usize;
                        let to = (place.end() - start) as usize;
                        self.segments
                            .split(&bytes.slice(from..to), *number, place, journal.store_id())
                            .map(|block| Some(block.payload))
                    }
                    (Ok(Some((number, place))), None) => self
                        .segments
                        .read(*number, place, journal.store_id())
                        .map(|block| Some(block.payload)),
                    (Ok(None), _) => Ok(None),
                    (Err(_), _) => Err(StoreError::UnknownCursor),
                };
                answers.push(match payload {
                    // Its room may have been given back just now.
                    Err(StoreError::Damaged { .. }) if self.is_gone(journal, block) => Ok(None),
                    other => other,
                });
            }
        }
        answers
    }

    fn is_gone(&self, journal: &Journal, block: &BlockInfo) -> bool {
        let number = claimed_number(&block.cursor);
        // When this fails, what is known is not too old to answer.
        let _ = self.current();
        !matches!(self.find(journal, &block.key), Ok(Some(slot)) if slot.number == number)
    }

    /// Number and place of each block; `None` where it was removed.
    fn records_of(
        &self,
        journal: &Journal,
        blocks: &[BlockInfo],
    ) -> Vec<Result<Option<(u64, Place)>, StoreError>> {
        let end = self.state().end;
        let numbers = || blocks.iter().map(|block| claimed_number(&block.cursor));
        let low = numbers().min().unwrap_or(0);
        let span = numbers().max().unwrap_or(0).saturating_sub(low) + 1;
        let mut raw = Vec::new();
        // A page of a scan is one read.
        let in_one = span <= 4 * blocks.len() as u64 + 64
            && journal.read_raw(low, span as usize, &mut raw).is_ok();
        let (slots, _): (&[RawRecord], _) = raw.as_chunks();
        blocks
            .iter()
            .map(|block| {
                let number = claimed_number(&block.cursor);
                let record = match slots.get((number - low) as usize) {
                    Some(slot) if in_one => journal.decode(number, slot),
                    _ if number <= end => journal.record(number)?,
                    _ => None,
                };
                match record {
                    Some(record) if record.cursor(journal.store_id()) == block.cursor => {
                        match record.body {
                            Body::Put(put) if !record.dead => Ok(Some((number, put.place))),
                            _ => Ok(None),
                        }
                    }
                    _ => Err(StoreError::UnknownCursor),
                }
            })
            .collect()
    }
}

type Located = Result<Option<(u64, Place)>, StoreError>;

fn place_of(located: &Located) -> Option<&Place> {
    match located {
        Ok(Some((_, place))) => Some(place),
        _ => None,
    }
}

/// How many at the front lie one behind the other.
fn neighbours(located: &[Located]) -> usize {
    let Some(first) = located.first().and_then(place_of) else {
        return 0;
    };
    let mut end = u64::from(first.offset);
    located
        .iter()
        .map_while(place_of)
        .take_while(|place| {
            let follows = place.segment == first.segment && u64::from(place.offset) == end;
            end = place.end();
            follows && (end - u64::from(first.offset) <= READ_TOGETHER || *place == first)
        })
        .count()
}

fn collect(
    records: impl Iterator<Item = Result<Option<BlockInfo>, StoreError>>,
    room: usize,
    found: &mut Vec<BlockInfo>,
) -> Result<(), StoreError> {
    for info in records.filter_map(Result::transpose).take(room) {
        found.push(info?);
    }
    Ok(())
}

fn describe(journal: &Journal, record: &Record) -> Option<BlockInfo> {
    match &record.body {
        Body::Put(put) if !record.dead => Some(BlockInfo {
            key: put.key,
            size: put.place.size,
            timestamp: put.timestamp,
            cursor: record.cursor(journal.store_id()),
        }),
        _ => None,
    }
}

fn number_of(journal: &Journal, cursor: &Cursor, end: u64) -> Result<u64, StoreError> {
    let number = claimed_number(cursor);
    if (1..=end).contains(&number)
        && let Some(record) = journal.record(number)?
        && record.cursor(journal.store_id()) == *cursor
    {
        return Ok(number);
    }
    Err(StoreError::UnknownCursor)
}

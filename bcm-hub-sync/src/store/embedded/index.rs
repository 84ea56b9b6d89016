//! The index: a table in memory for the newest records, and runs on disk for the rest.

use std::collections::HashMap;
use std::sync::Arc;

use super::journal::Journal;
use super::record::{Body, Record};
use super::run::{PageBuffer, Prefix, Run, Slot};
use crate::block::BlockKey;
use crate::store::StoreError;

/// Runs, oldest first. Newer ones overrule older ones.
pub(super) type Runs = Arc<[Arc<Run>]>;

/// What the store has, up to record `end` of the journal.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) blocks: u64,
    pub(super) payload_bytes: u64,
}

impl Totals {
    pub(super) fn apply(&mut self, record: &Record) {
        match &record.body {
            Body::Put(put) => {
                self.blocks += 1;
                self.payload_bytes += u64::from(put.place.size);
            }
            Body::Removed { place, .. } => {
                self.blocks = self.blocks.saturating_sub(1);
                self.payload_bytes = self.payload_bytes.saturating_sub(u64::from(place.size));
            }
            Body::Commit { .. } => {}
        }
    }
}

/// The part of the index that changes with every put.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What the records say that no run covers yet.
    pub(super) tail: HashMap<BlockKey, Slot>,
    pub(super) runs: Runs,
    /// The last record that is known.
    pub(super) end: u64,
    pub(super) totals: Totals,
    /// Changes when a recovery has cut records off, so that numbers may come again.
    pub(super) epoch: u64,
}

impl State {
    pub(super) fn apply(&mut self, record: &Record) {
        index_record(&mut self.tail, record);
        self.totals.apply(record);
        self.end = record.number;
    }
}

/// Enters what `record` says of its key.
pub(super) fn index_record(tail: &mut HashMap<BlockKey, Slot>, record: &Record) {
    let (key, place, removed) = match &record.body {
        Body::Put(put) => (put.key, put.place, false),
        Body::Removed { key, place, .. } => (*key, *place, true),
        Body::Commit { .. } => return,
    };
    let number = record.number;
    tail.insert(
        key,
        Slot {
            number,
            place,
            removed,
        },
    );
}

/// Looks keys up in runs, and remembers the page that it saw last in each of them.
pub(super) struct RunLookup<'a> {
    runs: Runs,
    pages: Vec<PageBuffer>,
    journal: &'a Journal,
}

impl<'a> RunLookup<'a> {
    pub(super) fn new(runs: Runs, journal: &'a Journal) -> Self {
        Self {
            pages: Vec::new(),
            runs,
            journal,
        }
    }

    /// The newest word of the runs on `key`.
    pub(super) fn find(&mut self, key: &BlockKey) -> Result<Option<Slot>, StoreError> {
        let prefix = Prefix::of(key);
        self.pages.resize_with(self.runs.len(), PageBuffer::default);
        for (run, page) in self.runs.iter().zip(&mut self.pages).rev() {
            let found = run.find(&prefix, page, |slot| {
                Ok(key_of(self.journal, slot.number)? == *key)
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The newest word of `runs` on one key.
pub(super) fn find_in_runs(
    runs: &[Arc<Run>],
    key: &BlockKey,
    journal: &Journal,
) -> Result<Option<Slot>, StoreError> {
    let prefix = Prefix::of(key);
    for run in runs.iter().rev() {
        let found = run.find(&prefix, &mut PageBuffer::default(), |slot| {
            Ok(key_of(journal, slot.number)? == *key)
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The whole key that record `number` is about.
pub(super) fn key_of(journal: &Journal, number: u64) -> Result<BlockKey, StoreError> {
    match journal.record(number)?.map(|record| record.body) {
        Some(Body::Put(put)) => Ok(put.key),
        Some(Body::Removed { key, .. }) => Ok(key),
        _ => Err(journal.bad_record(number)),
    }
}

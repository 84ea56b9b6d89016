//! Making the index, or the end of it, from the journal.

use std::path::Path;

use super::journal::Journal;
use super::manifest::Manifest;
use super::record::{Body, Place, Record};
use super::recover::{End, run_name};
use super::segments::Segments;
use super::{Limits, Runs, State, merge};
use crate::store::StoreError;

/// How many freed places are collected before the file system is told.
const FREE_AT_ONCE: usize = 4096;

/// An index that is being made. Its memory is bounded: whenever the table is full, it becomes a
/// run.
pub(super) struct Replay<'a> {
    folder: &'a Path,
    limits: Limits,
    pub(super) state: State,
    pub(super) next_run: u64,
    /// Runs were written that no manifest names.
    pub(super) spilled: bool,
    /// Where the next block goes.
    pub(super) position: (u32, u64),
    /// Removed blocks whose removal is not durable.
    pub(super) condemned: Vec<(u64, Place)>,
}

impl<'a> Replay<'a> {
    /// Goes on from what `manifest` and its `runs` cover.
    pub(super) fn new(folder: &'a Path, limits: Limits, manifest: &Manifest, runs: Runs) -> Self {
        Self {
            folder,
            limits,
            state: State {
                runs,
                end: manifest.covered,
                totals: manifest.totals(),
                epoch: manifest.epoch,
                ..State::default()
            },
            next_run: manifest.next_run,
            spilled: false,
            position: (manifest.segment, manifest.offset),
            condemned: Vec::new(),
        }
    }

    /// Reads the journal up to its good end, and does again what a crash may have kept removals
    /// from doing.
    pub(super) fn recover(
        &mut self,
        journal: &Journal,
        segments: &Segments,
        end: &End,
    ) -> Result<(), StoreError> {
        let mut condemned = Vec::new();
        let mut free = Vec::new();
        self.records(journal, end.last(), |record| {
            if let Body::Removed { place, number, .. } = record.body {
                if record.number > end.committed() {
                    condemned.push((number, place));
                    return Ok(());
                }
                journal.mark_dead(number)?;
                free.push(place);
                if free.len() >= FREE_AT_ONCE {
                    segments.free(&mut free);
                }
            }
            Ok(())
        })?;
        segments.free(&mut free);
        self.condemned = condemned;
        Ok(())
    }

    /// Enters the records up to `last`.
    pub(super) fn records(
        &mut self,
        journal: &Journal,
        last: u64,
        mut also: impl FnMut(&Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let reached = journal.for_each(self.state.end + 1, last, |records| {
            for record in records {
                self.state.apply(record);
                if let Body::Put(put) = &record.body {
                    self.position = (put.place.segment, put.place.end());
                }
                also(record)?;
            }
            if self.state.tail.len() >= self.limits.tail_records {
                self.spill(journal)?;
            }
            Ok(())
        })?;
        if reached < last {
            return Err(journal.bad_record(reached + 1));
        }
        Ok(())
    }

    pub(super) fn spill(&mut self, journal: &Journal) -> Result<(), StoreError> {
        let name = run_name(self.next_run);
        self.next_run += 1;
        self.state.runs = merge::spill(
            self.folder,
            &name,
            &self.state.tail,
            &self.state.runs,
            journal,
        )?;
        self.state.tail.clear();
        self.spilled = true;
        Ok(())
    }
}

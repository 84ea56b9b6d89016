//! The reading side, for a process that does not write: following the one that does.

use std::io;
use std::sync::Arc;

use super::EmbeddedStore;
use super::index::Runs;
use super::journal::Journal;
use super::manifest::{Manifest, Version};
use super::recover::Files;
use super::run::Run;
use super::tail::Tail;
use crate::store::StoreError;

/// How often a run may vanish between reading the manifest and opening it. A writer merges at most
/// a few times a second.
const ATTEMPTS: u32 = 100;

/// What only a reader knows.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The manifest that the index is made of.
    version: Option<Version>,
}

impl EmbeddedStore {
    /// Takes in what the writer did since. `None` while there is no store.
    pub(super) fn follow(&self, reader: &mut Reader) -> Result<Option<&Journal>, StoreError> {
        let journal = match self.journal.get() {
            Some(journal) => journal,
            None => {
                // The manifest is made last: with it, the store is whole.
                if Version::on_disk(&self.folder)?.is_none() {
                    return Ok(None);
                }
                match Journal::open(&self.folder, false)? {
                    Some(journal) => self.journal.get_or_init(|| journal),
                    None => return Ok(None),
                }
            }
        };
        let was_cut = journal.last()? < self.state().end;
        if was_cut || Version::on_disk(&self.folder)? != reader.version {
            self.take_manifest(reader, journal, was_cut)?;
        }
        let last = journal.last()?;
        let first = self.state().end + 1;
        // A record that is not whole is not there yet.
        journal.for_each(first, last, |records| {
            let mut state = self.state_mut();
            for record in records {
                state.apply(record);
            }
            Ok(())
        })?;
        Ok(Some(journal))
    }

    /// Reads all of the journal, at some GB/s, for records that keep blocks from being found.
    pub(super) fn audit_in(&self, journal: &Journal) -> Result<(), StoreError> {
        let manifest = match Manifest::read(&self.folder)? {
            Some((manifest, _)) if manifest.store_id == journal.store_id() => manifest,
            _ => Manifest::new(journal.store_id()),
        };
        let covered = manifest.covered;
        let whole = journal.for_each(1, covered, |_| Ok(()))?;
        if whole < covered {
            return Err(journal.bad_record(whole + 1));
        }
        let files = Files::list(&self.folder)?;
        let position = (manifest.segment, manifest.offset);
        let tail = Tail::look(journal, &self.segments, &files, covered, position)?;
        match tail.mended.first() {
            None => Ok(()),
            Some((number, _)) => Err(journal.mendable_record(*number)),
        }
    }

    fn take_manifest(
        &self,
        reader: &mut Reader,
        journal: &Journal,
        was_cut: bool,
    ) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let Some((manifest, version)) = Manifest::read(&self.folder)? else {
                break;
            };
            if manifest.store_id != journal.store_id() {
                let what = "it belongs to another store";
                let path = self.folder.join(super::manifest::FILE_NAME);
                return Err(StoreError::damaged(&path, 0, what));
            }
            let Some(runs) = self.open_runs(&manifest, journal)? else {
                continue;
            };
            let mut state = self.state_mut();
            if was_cut || manifest.epoch != state.epoch || manifest.covered >= state.end {
                state.tail.clear();
                state.end = manifest.covered;
                state.totals = manifest.totals();
                state.epoch = manifest.epoch;
            } else {
                state.tail.retain(|_, slot| slot.number > manifest.covered);
            }
            state.runs = runs;
            reader.version = Some(version);
            return Ok(());
        }
        let gone = io::Error::from(io::ErrorKind::NotFound);
        Err(StoreError::io("open the index in", &self.folder)(gone))
    }

    /// `None` when one is no longer there, since the writer has merged it.
    fn open_runs(
        &self,
        manifest: &Manifest,
        journal: &Journal,
    ) -> Result<Option<Runs>, StoreError> {
        let known = self.state().runs.clone();
        let mut runs = Vec::with_capacity(manifest.runs.len());
        for name in &manifest.runs {
            if let Some(run) = known.iter().find(|run| run.name() == name) {
                runs.push(Arc::clone(run));
                continue;
            }
            match Run::open(&self.folder, name, journal.store_id()) {
                Ok(run) => runs.push(Arc::new(run)),
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(runs.into()))
    }
}

//! Makes one run of several, and of the table in memory.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use super::index::{Runs, key_of};
use super::journal::Journal;
use super::run::{Entry, PageBuffer, Prefix, Run, RunWriter, Slot};
use crate::block::BlockKey;
use crate::store::StoreError;

/// A run stays as it is while it is this many times larger than all newer ones together; so there
/// are never more than log₄ of them, and an entry is rewritten a few times in the store's life.
const GROWTH: u64 = 3;

/// How many of `runs` stay when `new` entries come; the rest is merged with them.
fn kept(runs: &[Arc<Run>], new: u64) -> usize {
    let mut merged = new;
    let mut kept = runs.len();
    while kept > 0 && runs[kept - 1].count() < GROWTH * merged {
        kept -= 1;
        merged += runs[kept].count();
    }
    kept
}

/// Writes `tail` as a run of the name `name`, together with those of `runs` that are no longer
/// large enough to stay. Returns the runs that are to be used from now on; the content of the new
/// one is durable, its name is not yet.
pub(super) fn spill(
    folder: &Path,
    name: &str,
    tail: &HashMap<BlockKey, Slot>,
    runs: &Runs,
    journal: &Journal,
) -> Result<Runs, StoreError> {
    if tail.is_empty() {
        return Ok(Runs::clone(runs));
    }
    let kept = kept(runs, tail.len() as u64);
    let mut newest: Vec<Entry> = tail
        .iter()
        .map(|(key, slot)| Entry {
            prefix: Prefix::of(key),
            slot: *slot,
        })
        .collect();
    newest.sort_unstable_by_key(|entry| entry.prefix);
    // Newest first: the first word on a key is the last one said.
    let mut sources = vec![Source::Memory(newest.into())];
    sources.extend(runs[kept..].iter().rev().map(Source::run));
    let result = write(folder, name, sources, kept == 0, journal)
        .and_then(|()| Run::open(folder, name, journal.store_id()));
    match result {
        Ok(run) => {
            let mut now = runs[..kept].to_vec();
            now.push(Arc::new(run));
            Ok(now.into())
        }
        Err(error) => {
            // The first error is the one worth reporting.
            let _ = std::fs::remove_file(folder.join(name));
            Err(error)
        }
    }
}

/// `all`: nothing older is left that a removal would have to overrule.
fn write(
    folder: &Path,
    name: &str,
    mut sources: Vec<Source>,
    all: bool,
    journal: &Journal,
) -> Result<(), StoreError> {
    let mut writer = RunWriter::create(folder, name, journal.store_id())?;
    let mut same = Vec::new();
    loop {
        let mut next: Option<Prefix> = None;
        for source in &mut sources {
            if let Some(entry) = source.peek()?
                && next.is_none_or(|next| entry.prefix < next)
            {
                next = Some(entry.prefix);
            }
        }
        let Some(prefix) = next else { break };
        same.clear();
        for source in &mut sources {
            while let Some(entry) = source.peek()?
                && entry.prefix == prefix
            {
                same.push(entry);
                source.advance();
            }
        }
        let mut keys = Vec::new();
        for (at, entry) in same.iter().enumerate() {
            if prefix.is_partial() && same.len() > 1 {
                let key = key_of(journal, entry.slot.number)?;
                if keys.contains(&key) {
                    continue;
                }
                keys.push(key);
            } else if at > 0 {
                break;
            }
            if !(all && entry.slot.removed) {
                writer.push(entry)?;
            }
        }
    }
    writer.finish()?;
    Ok(())
}

enum Source {
    Memory(VecDeque<Entry>),
    Run {
        run: Arc<Run>,
        /// The next page to read.
        page: u64,
        buffer: Box<PageBuffer>,
        entries: Vec<Entry>,
        /// The next of `entries`.
        at: usize,
    },
}

impl Source {
    fn run(run: &Arc<Run>) -> Self {
        Self::Run {
            run: Arc::clone(run),
            page: 0,
            buffer: Box::default(),
            entries: Vec::new(),
            at: 0,
        }
    }

    fn peek(&mut self) -> Result<Option<Entry>, StoreError> {
        match self {
            Self::Memory(entries) => Ok(entries.front().copied()),
            Self::Run {
                run,
                page,
                buffer,
                entries,
                at,
            } => {
                if *at == entries.len() && *page < run.pages() {
                    entries.clear();
                    *at = 0;
                    run.page(*page, buffer, entries)?;
                    *page += 1;
                }
                Ok(entries.get(*at).copied())
            }
        }
    }

    fn advance(&mut self) {
        match self {
            Self::Memory(entries) => {
                entries.pop_front();
            }
            Self::Run { at, .. } => *at += 1,
        }
    }
}

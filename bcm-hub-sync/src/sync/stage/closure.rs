//! The blocks that flists name: which of them the store lacks.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;

use super::super::error::{Stop, SyncError};
use crate::block::BlockKey;
use crate::flist::{Flist, FlistError, Limits};
use crate::store::{BlockStore, StoreError};
use bcm_core::cause::chain;

/// How many keys the store is asked for at once.
const BATCH: usize = 1024;
/// How many keys are remembered as asked for, twice. At 33 bytes each this is a few megabytes.
const REMEMBERED: usize = 65_536;
/// How many missing keys are named.
const NAMED: usize = 5;

/// The keys that were asked for last. Flists that resemble each other come one after the other,
/// and their blocks are to be fetched once; which are really there is checked later in any case.
#[derive(Debug, Default)]
pub(in crate::sync) struct Recent {
    generations: Mutex<[HashSet<BlockKey>; 2]>,
}

impl Recent {
    /// Keeps those of `keys` that were not asked for lately, and remembers them.
    fn take_new(&self, keys: &mut Vec<BlockKey>) {
        let generations = self.generations.lock();
        let [new, old] = &mut *generations.unwrap_or_else(PoisonError::into_inner);
        keys.retain(|key| !old.contains(key) && new.insert(*key));
        if new.len() >= REMEMBERED {
            std::mem::swap(new, old);
            new.clear();
        }
    }
}

/// The blocks that an flist lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Missing {
    /// How many references lead to no block.
    pub(crate) count: u64,
    /// Some of the keys.
    pub(crate) first: Vec<BlockKey>,
}

/// Calls `lacking` with the keys of `flist` that are not in `store`, batch by batch.
fn each_lacking(
    path: &Path,
    limits: &Limits,
    scratch: &Path,
    store: &dyn BlockStore,
    lacking: &mut dyn FnMut(Vec<BlockKey>),
) -> Result<(), Failed> {
    let flist = Flist::open(path, limits, scratch)?;
    let mut batch: Vec<BlockKey> = Vec::with_capacity(BATCH);
    let mut failed = None;
    flist.for_each_block(&mut |key| {
        batch.push(*key);
        if batch.len() < BATCH {
            return ControlFlow::Continue(());
        }
        match look(store, &mut batch, lacking) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(Failed::Store(error));
    }
    look(store, &mut batch, lacking).map_err(Failed::Store)
}

fn look(
    store: &dyn BlockStore,
    batch: &mut Vec<BlockKey>,
    lacking: &mut dyn FnMut(Vec<BlockKey>),
) -> Result<(), StoreError> {
    batch.sort_unstable();
    batch.dedup();
    let held = store.contains(batch)?;
    let absent: Vec<BlockKey> = batch
        .iter()
        .zip(held)
        .filter(|(_, held)| !held)
        .map(|(key, _)| *key)
        .collect();
    batch.clear();
    if !absent.is_empty() {
        lacking(absent);
    }
    Ok(())
}

enum Failed {
    Flist(FlistError),
    Store(StoreError),
}

impl From<FlistError> for Failed {
    fn from(error: FlistError) -> Self {
        Self::Flist(error)
    }
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Flist(error) => stop(error),
            Failed::Store(error) => Self::All(SyncError::Store(error)),
        }
    }
}

/// A full or failing disk stops everything; whatever else is wrong, is wrong with the flist.
pub(super) fn stop(error: FlistError) -> Stop {
    match error {
        FlistError::Io {
            operation,
            path,
            source,
        } => Stop::All(SyncError::io(operation, &path, source)),
        other => Stop::Entry(chain(&other)),
    }
}

/// Reads the whole flist `path` and sends the keys that `store` lacks to `keys`, if there is
/// anyone to send them to. Answers whether it lacks any.
pub(in crate::sync) fn request_blocks(
    path: &Path,
    limits: &Limits,
    scratch: &Path,
    store: &dyn BlockStore,
    keys: Option<mpsc::Sender<Vec<BlockKey>>>,
    recent: &Recent,
) -> Result<bool, Stop> {
    let Some(keys) = keys else {
        let flist = Flist::open(path, limits, scratch).map_err(stop)?;
        let each = &mut |_: &BlockKey| ControlFlow::Continue(());
        flist.for_each_block(each).map_err(stop)?;
        return Ok(false);
    };
    let mut lacks = false;
    each_lacking(path, limits, scratch, store, &mut |mut absent| {
        lacks = true;
        recent.take_new(&mut absent);
        if !absent.is_empty() {
            // When the fetch has ended early, its error says why; the check says what is missing.
            let _ = keys.blocking_send(absent);
        }
    })?;
    Ok(lacks)
}

/// Which blocks of the flist `path` are not in `store`.
pub(in crate::sync) fn check_blocks(
    path: &Path,
    limits: &Limits,
    scratch: &Path,
    store: &dyn BlockStore,
) -> Result<Missing, Stop> {
    let mut missing = Missing::default();
    each_lacking(path, limits, scratch, store, &mut |absent| {
        missing.count += absent.len() as u64;
        let room = NAMED.saturating_sub(missing.first.len());
        missing.first.extend(absent.into_iter().take(room));
    })?;
    Ok(missing)
}

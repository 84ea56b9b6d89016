//! `bcm flist`.

mod inspect;
mod ls;
mod pack;
mod show;
mod unpack;

use std::collections::HashSet;
use std::ops::ControlFlow;

use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::flist::{Flist, FlistError};
use bcm_hub_sync::store::{BlockStore, StoreError};

pub(crate) use show::time as shown_time;

use super::{Context, block_on};
use crate::args::flist::{FlistArgs, FlistCommand};
use crate::diagnostics::Failure;
use crate::exit_code::ExitCode;
use crate::settings::limits::limits;

/// Keys that are asked for at once.
const BATCH: usize = 1024;
/// Keys that are remembered, so that a block that many files share is looked at once.
const REMEMBERED: usize = 1 << 20;

/// Carries out a command.
pub(super) fn run(context: &Context, command: &FlistCommand) -> Result<ExitCode, Failure> {
    match command {
        FlistCommand::Ls(args) => ls::run(context, args),
        FlistCommand::Inspect(args) => inspect::run(context, args),
        FlistCommand::Unpack(args) => block_on(unpack::run(context, args)),
        FlistCommand::Pack(args) => block_on(pack::run(context, args)),
    }
}

fn open(args: &FlistArgs) -> Result<Flist, Failure> {
    Flist::open(&args.flist, &limits(&args.limits), &std::env::temp_dir()).map_err(|error| {
        let hint = match &error {
            FlistError::Limit { .. } => Some("--limit raises a limit; `--help` lists them"),
            _ => None,
        };
        let failure = Failure::new(error);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    })
}

/// Calls `each` with the keys of an flist's blocks, some at a time and most of them once, until
/// it breaks.
fn for_each_batch(
    flist: &Flist,
    mut each: impl FnMut(Vec<BlockKey>) -> ControlFlow<()>,
) -> Result<(), FlistError> {
    let mut seen = HashSet::new();
    let mut batch = Vec::with_capacity(BATCH);
    let mut flow = ControlFlow::Continue(());
    flist.for_each_block(&mut |key| {
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        if seen.insert(*key) {
            batch.push(*key);
        }
        if batch.len() >= BATCH {
            flow = each(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
        }
        flow
    })?;
    if flow.is_continue() && !batch.is_empty() {
        let _ = each(batch);
    }
    Ok(())
}

/// How many blocks of an flist there are, and how many of them are in a store.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
struct Held {
    blocks: u64,
    held: u64,
}

fn held(flist: &Flist, store: &dyn BlockStore) -> Result<Held, Failure> {
    let mut held = Held::default();
    let mut failed: Option<StoreError> = None;
    for_each_batch(flist, |mut keys| {
        keys.sort_unstable();
        match store.contains(&keys) {
            Ok(here) => {
                held.blocks += keys.len() as u64;
                held.held += here.iter().filter(|here| **here).count() as u64;
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })
    .map_err(Failure::new)?;
    match failed {
        Some(error) => Err(Failure::new(error)),
        None => Ok(held),
    }
}

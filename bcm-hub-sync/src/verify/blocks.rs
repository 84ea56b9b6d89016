//! Hashes every block in a store.

use std::collections::HashSet;
use std::sync::Arc;

use bcm_core::progress::{Outcome, SharedProgress, Unit};
use futures_util::{StreamExt as _, stream};

use super::{DamagedBlock, VerifyError, VerifyOptions, VerifyReport};
use crate::block::BlockKey;
use crate::catalog::upstream::chain;
use crate::store::{BlockInfo, BlockStore, Cursor, Direction, StoreError};

/// How many blocks are listed at once.
const PAGE: usize = 4096;
/// How many bytes, and how many blocks, one thread reads at once.
const SLICE_BYTES: u64 = 8 * 1024 * 1024;
const SLICE_BLOCKS: usize = 1024;
/// How many damaged keys are remembered, for telling which flists they belong to.
const REMEMBERED: usize = 65_536;

/// What came of one slice.
struct Slice {
    blocks: u64,
    bytes: u64,
    damaged: Vec<DamagedBlock>,
}

/// Hashes every block. Answers with the damaged ones, up to a bound.
pub(super) async fn verify(
    store: &Arc<dyn BlockStore>,
    options: &VerifyOptions,
    threads: usize,
    progress: &SharedProgress,
    report: &mut VerifyReport,
) -> Result<HashSet<BlockKey>, VerifyError> {
    let counted = Arc::clone(store);
    let stats = blocking(move || counted.stats()).await??;
    let task = progress.started("hashing blocks", Unit::Blocks, Some(stats.blocks));
    let mut damaged = HashSet::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let listed = Arc::clone(store);
        let after = cursor;
        let scan = move || listed.scan(after.as_ref(), Direction::Forward, PAGE);
        let page = blocking(scan).await??;
        let Some(last) = page.last() else {
            break;
        };
        cursor = Some(last.cursor);
        let mut work = stream::iter(slices(page))
            .map(|slice| {
                let store = Arc::clone(store);
                blocking(move || hash(&*store, &slice))
            })
            .buffer_unordered(threads.max(1));
        while let Some(slice) = work.next().await {
            let slice = slice??;
            report.blocks += slice.blocks;
            report.block_bytes += slice.bytes;
            progress.advanced(task, slice.blocks, slice.bytes);
            for block in slice.damaged {
                if damaged.len() < REMEMBERED {
                    damaged.insert(block.key);
                }
                if options.remove_damaged {
                    let (store, key) = (Arc::clone(store), block.key);
                    report.removed_blocks += blocking(move || store.remove(&[key])).await??;
                }
                report.damaged_blocks.add(block);
            }
        }
    }
    if report.removed_blocks > 0 {
        let store = Arc::clone(store);
        blocking(move || store.flush()).await??;
    }
    let outcome = match report.damaged_blocks.count {
        0 => Outcome::Done,
        count => Outcome::Partial(format!("{count} are damaged")),
    };
    progress.finished(task, &outcome);
    Ok(damaged)
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, VerifyError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(VerifyError::Panicked)
}

/// Cuts a page into pieces that one thread reads at once.
fn slices(page: Vec<BlockInfo>) -> Vec<Vec<BlockInfo>> {
    let mut slices: Vec<Vec<BlockInfo>> = Vec::new();
    let mut bytes = u64::MAX;
    for block in page {
        let size = u64::from(block.size);
        match slices.last_mut() {
            Some(slice) if bytes + size <= SLICE_BYTES && slice.len() < SLICE_BLOCKS => {
                bytes += size;
                slice.push(block);
            }
            _ => {
                bytes = size;
                slices.push(vec![block]);
            }
        }
    }
    slices
}

fn hash(store: &dyn BlockStore, slice: &[BlockInfo]) -> Result<Slice, StoreError> {
    let mut found = Slice {
        blocks: 0,
        bytes: 0,
        damaged: Vec::new(),
    };
    for (block, payload) in slice.iter().zip(store.read(slice)) {
        let reason = match payload {
            // Removed since it was listed.
            Ok(None) => continue,
            Ok(Some(payload)) => {
                found.bytes += payload.len() as u64;
                match block.key.verifies(&payload) {
                    true => None,
                    false => Some(format!(
                        "its {} bytes do not hash to its key",
                        payload.len()
                    )),
                }
            }
            Err(error @ StoreError::Damaged { .. }) => Some(error.to_string()),
            // A disk that cannot read one sector can often read the others.
            Err(error @ StoreError::Io { .. }) => Some(chain(&error)),
            Err(error) => return Err(error),
        };
        found.blocks += 1;
        if let Some(reason) = reason {
            let key = block.key;
            found.damaged.push(DamagedBlock { key, reason });
        }
    }
    Ok(found)
}

//! Hashes every block in a store.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use bcm_core::progress::{Outcome, SharedProgress, Unit};
use futures_util::{Stream, StreamExt as _, stream};

use super::{DamagedBlock, VerifyError, VerifyOptions, VerifyReport};
use crate::block::BlockKey;
use crate::store::{BlockInfo, BlockStore, Cursor, Direction, Mended, StoreError};
use bcm_core::cause::chain;

/// How many blocks are listed at once.
const PAGE: usize = 4096;
/// How many bytes, and how many blocks, one thread reads at once.
const SLICE_BYTES: u64 = 2 * 1024 * 1024;
const SLICE_BLOCKS: usize = 1024;
/// How many damaged keys are remembered, for telling which flists they belong to.
const REMEMBERED: usize = 65_536;

/// What came of one slice.
struct Slice {
    keys: Vec<BlockKey>,
    blocks: u64,
    bytes: u64,
    damaged: Vec<DamagedBlock>,
}

/// Hashes every block, every copy of it where the store keeps several. Answers with those that are
/// damaged and were not mended, up to a bound.
pub(super) async fn verify(
    store: &Arc<dyn BlockStore>,
    options: &VerifyOptions,
    threads: usize,
    progress: &SharedProgress,
    report: &mut VerifyReport,
) -> Result<HashSet<BlockKey>, VerifyError> {
    let mut stores = store.members();
    let in_one = stores.is_empty();
    if in_one {
        stores.push((String::new(), Arc::clone(store)));
    }
    let mut damaged = HashSet::new();
    for (number, (name, member)) in stores.iter().enumerate() {
        let mut pass = Pass {
            whole: store,
            member,
            earlier: &stores[..number],
            options,
            threads,
            has_copies: !in_one,
            damaged: &mut damaged,
            report: &mut *report,
        };
        let what = match in_one {
            true => "hashing blocks".to_owned(),
            false => format!("hashing blocks of {name}"),
        };
        pass.run(&what, progress).await?;
    }
    if report.removed_blocks + report.mended_blocks > 0 {
        let store = Arc::clone(store);
        blocking(move || store.flush()).await??;
    }
    Ok(damaged)
}

/// Going through one store.
struct Pass<'a> {
    /// What it is a part of, or is itself.
    whole: &'a Arc<dyn BlockStore>,
    member: &'a Arc<dyn BlockStore>,
    /// What was gone through before it: a copy that is missing counts once.
    earlier: &'a [(String, Arc<dyn BlockStore>)],
    options: &'a VerifyOptions,
    threads: usize,
    /// Whether other members may have copies of its blocks.
    has_copies: bool,
    damaged: &'a mut HashSet<BlockKey>,
    report: &'a mut VerifyReport,
}

impl Pass<'_> {
    async fn run(&mut self, what: &str, progress: &SharedProgress) -> Result<(), VerifyError> {
        let counted = Arc::clone(self.member);
        let stats = blocking(move || counted.stats()).await??;
        let task = progress.started(what, Unit::Blocks, Some(stats.blocks));
        let before = self.report.damaged_blocks.count;
        let member = Arc::clone(self.member);
        let work = slices(Arc::clone(&member)).map(move |slice| {
            let store = Arc::clone(&member);
            async move {
                let slice = slice?;
                Ok::<_, VerifyError>(blocking(move || hash(&*store, &slice)).await??)
            }
        });
        // While as many as there are processors are hashed, as many are read.
        let mut work = pin!(work.buffer_unordered(2 * self.threads.max(1)));
        while let Some(slice) = work.next().await {
            let slice = slice?;
            self.report.blocks += slice.blocks;
            self.report.block_bytes += slice.bytes;
            progress.advanced(task, slice.blocks, slice.bytes);
            self.settle(slice.damaged).await?;
            if self.has_copies {
                self.complete(slice.keys).await?;
            }
        }
        let outcome = match self.report.damaged_blocks.count - before {
            0 => Outcome::Done,
            count => Outcome::Partial(format!("{count} are damaged")),
        };
        progress.finished(task, &outcome);
        Ok(())
    }

    /// Mends or removes what is damaged, as it is asked for, and takes note of the rest.
    async fn settle(&mut self, found: Vec<DamagedBlock>) -> Result<(), VerifyError> {
        for block in found {
            if self.options.mend && self.mend(vec![block.key]).await? == 1 {
                continue;
            }
            if self.damaged.len() < REMEMBERED {
                self.damaged.insert(block.key);
            }
            if self.options.remove_damaged {
                let (store, key) = (Arc::clone(self.member), block.key);
                self.report.removed_blocks += blocking(move || store.remove(&[key])).await??;
            }
            self.report.damaged_blocks.add(block);
        }
        Ok(())
    }

    /// Finds, and where that is asked for makes, the copies of `keys` that other members lack.
    async fn complete(&mut self, keys: Vec<BlockKey>) -> Result<(), VerifyError> {
        let whole = Arc::clone(self.whole);
        let earlier: Vec<_> = self
            .earlier
            .iter()
            .map(|(_, one)| Arc::clone(one))
            .collect();
        let look = move || {
            let mut lacking = whole.without_copies(&keys)?;
            for member in earlier {
                let held = member.contains(&lacking)?;
                let mut held = held.into_iter();
                lacking.retain(|_| !held.next().unwrap_or(false));
            }
            Ok::<_, StoreError>(lacking)
        };
        let lacking = blocking(look).await??;
        let missing = lacking.len() as u64;
        let made = match self.options.mend && missing > 0 {
            true => self.mend(lacking).await?,
            false => 0,
        };
        self.report.missing_copies += missing.saturating_sub(made);
        Ok(())
    }

    /// Mends what can be; how many of `keys`.
    async fn mend(&mut self, keys: Vec<BlockKey>) -> Result<u64, VerifyError> {
        let whole = Arc::clone(self.whole);
        let mended = blocking(move || whole.mend(&keys)).await??;
        let made = mended.iter().filter(|one| **one == Mended::Yes).count() as u64;
        self.report.mended_blocks += made;
        Ok(made)
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, VerifyError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(VerifyError::Panicked)
}

/// All blocks of `store`, in pieces that one thread reads at once.
fn slices(store: Arc<dyn BlockStore>) -> impl Stream<Item = Result<Vec<BlockInfo>, VerifyError>> {
    let nothing: (Option<Cursor>, VecDeque<Vec<BlockInfo>>) = (None, VecDeque::new());
    stream::try_unfold(nothing, move |(mut cursor, mut slices)| {
        let store = Arc::clone(&store);
        async move {
            if slices.is_empty() {
                let scan = move || store.scan(cursor.as_ref(), Direction::Forward, PAGE);
                let page = blocking(scan).await??;
                let Some(last) = page.last() else {
                    return Ok(None);
                };
                cursor = Some(last.cursor);
                slices = cut(page);
            }
            Ok(slices.pop_front().map(|slice| (slice, (cursor, slices))))
        }
    })
}

/// Cuts a page into pieces that one thread reads at once.
fn cut(page: Vec<BlockInfo>) -> VecDeque<Vec<BlockInfo>> {
    let mut slices: VecDeque<Vec<BlockInfo>> = VecDeque::new();
    let mut bytes = u64::MAX;
    for block in page {
        let size = u64::from(block.size);
        match slices.back_mut() {
            Some(slice) if bytes + size <= SLICE_BYTES && slice.len() < SLICE_BLOCKS => {
                bytes += size;
                slice.push(block);
            }
            _ => {
                bytes = size;
                slices.push_back(vec![block]);
            }
        }
    }
    slices
}

fn hash(store: &dyn BlockStore, slice: &[BlockInfo]) -> Result<Slice, StoreError> {
    let mut found = Slice {
        keys: slice.iter().map(|block| block.key).collect(),
        blocks: 0,
        bytes: 0,
        damaged: Vec::new(),
    };
    let payloads = store.read(slice);
    let to_hash: Vec<(BlockKey, &[u8])> = slice
        .iter()
        .zip(&payloads)
        .filter_map(|(block, payload)| match payload {
            Ok(Some(payload)) => Some((block.key, &payload[..])),
            _ => None,
        })
        .collect();
    let mut verified = BlockKey::verify_many(&to_hash).into_iter();
    for (block, payload) in slice.iter().zip(payloads) {
        let reason = match payload {
            // Removed since it was listed.
            Ok(None) => continue,
            Ok(Some(payload)) => {
                let size = payload.len();
                found.bytes += size as u64;
                match verified.next() {
                    Some(true) => None,
                    _ => Some(format!("its {size} bytes do not hash to its key")),
                }
            }
            Err(error) if error.is_damage() => Some(error.to_string()),
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

//! What happens to blocks after they arrived: verifying, then storing.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::lane::{Ask, Lane};
use super::{Shared, Stop};
use crate::block::BlockKey;
use crate::store::VerifiedBlock;

/// Blocks as they arrived.
#[derive(Default)]
pub(super) struct Batch {
    asks: Vec<Ask>,
    /// For each of `asks`, what came.
    blocks: Vec<(BlockKey, Bytes, u32)>,
    pub(super) bytes: usize,
    /// The memory that they take; given back when they are stored.
    memory: Option<OwnedSemaphorePermit>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    pub(super) fn add(
        &mut self,
        ask: Ask,
        payload: Bytes,
        timestamp: u32,
        memory: OwnedSemaphorePermit,
    ) {
        self.bytes += payload.len();
        self.blocks.push((ask.key, payload, timestamp));
        self.asks.push(ask);
        match &mut self.memory {
            Some(all) => all.merge(memory),
            none => *none = Some(memory),
        }
    }
}

/// Blocks that are what their keys say.
pub(super) struct Verified {
    source: usize,
    blocks: Vec<VerifiedBlock>,
    bytes: u64,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Hashes what one connection receives. Runs beside it, so that it goes on receiving, and beside
/// those of the other connections, so that all processors are used.
pub(super) async fn verify_blocks(
    lane: Arc<Lane>,
    mut received: mpsc::Receiver<Batch>,
    store: mpsc::Sender<Verified>,
) {
    while let Some(batch) = received.recv().await {
        let source = lane.number;
        let hashing = tokio::task::spawn_blocking(move || verify(batch, source));
        let (verified, refused) = match hashing.await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime shuts down.
            Err(_) => return,
        };
        // The store's end is gone after its first error: the fetch is over then.
        if !verified.blocks.is_empty() && store.send(verified).await.is_err() {
            return;
        }
        if refused.is_empty() {
            continue;
        }
        lane.shared.report(|report| {
            for (ask, reason) in &refused {
                report.refuse(ask.key, lane.number, reason.clone());
            }
        });
        let asks = refused.into_iter().map(|(ask, _)| ask.refused()).collect();
        let passing = lane.next.send(asks);
        lane.shared.cancel.run_until_cancelled(passing).await;
    }
}

fn verify(batch: Batch, source: usize) -> (Verified, Vec<(Ask, String)>) {
    let mut blocks = Vec::with_capacity(batch.asks.len());
    let mut refused = Vec::new();
    let mut bytes = 0;
    for (ask, outcome) in batch
        .asks
        .into_iter()
        .zip(VerifiedBlock::verify_many(batch.blocks))
    {
        match outcome {
            Ok(block) => {
                bytes += block.payload().len() as u64;
                blocks.push(block);
            }
            Err(error) => refused.push((ask, error.to_string())),
        }
    }
    let verified = Verified {
        source,
        blocks,
        bytes,
        _memory: batch.memory,
    };
    (verified, refused)
}

/// Stores what is verified until there is no more, and flushes. The only writer of a fetch.
pub(super) fn write_blocks(shared: &Shared, mut verified: mpsc::Receiver<Verified>) {
    let mut unflushed = 0;
    while let Some(batch) = verified.blocking_recv() {
        if let Err(error) = shared.store.put(&batch.blocks) {
            shared.stop(Stop::Store(error));
            break;
        }
        unflushed += batch.bytes;
        let count = batch.blocks.len() as u64;
        shared.report(|report| {
            report.fetched += count;
            report.bytes += batch.bytes;
            if let Some(source) = report.sources.get_mut(batch.source) {
                source.blocks += count;
                source.bytes += batch.bytes;
            }
        });
        shared.progress.advanced(shared.task, count, batch.bytes);
        if unflushed >= shared.options.flush_every {
            unflushed = 0;
            if let Err(error) = shared.store.flush() {
                shared.stop(Stop::Store(error));
                break;
            }
        }
    }
    // Nobody waits for room in the queue of a writer that has ended.
    drop(verified);
    if let Err(error) = shared.store.flush() {
        shared.stop(Stop::Store(error));
    }
}

/// The time that a source says, where it is one that 0-db can hold; otherwise the present. It is
/// kept for those who mirror this mirror; nothing here relies on it.
pub(super) fn timestamp(said: Option<i64>) -> u32 {
    said.and_then(|time| u32::try_from(time).ok())
        .unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(0, |now| u32::try_from(now.as_secs()).unwrap_or(u32::MAX))
        })
}

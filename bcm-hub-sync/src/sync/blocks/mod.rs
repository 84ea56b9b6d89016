//! Fetches blocks from 0-dbs into the local store.
//!
//! Wanted keys stream in; each source is a *lane* with a queue of keys and a few connections.
//! What a lane's source does not have, or has in a damaged form, goes on to the next lane. A
//! connection keeps many requests in flight; what arrives is hashed on other threads and written
//! by one. Every stage holds back the one before it, down to the sockets, so memory is bounded
//! whatever the sizes of the blocks and the speed of the disk.

mod connection;
mod lane;
mod report;
mod stages;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bcm_core::cause::chain;
use bcm_core::limiter::Limiter;
use bcm_core::progress::{Level, Outcome, SharedProgress, Unit};
use bcm_core::retry::RetryPolicy;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::block::BlockKey;
use crate::store::{BlockStore, MAX_PAYLOAD};
use crate::zdb::ZdbAddress;
use crate::zdb::client::ClientOptions;

use self::lane::{Ask, CHUNK, Lane, Next};
pub use self::report::{FetchError, FetchReport, RefusedReply, Sample, SourceReport};
use self::stages::write_blocks;

/// The least memory for blocks under way: room for the largest, twice.
const LEAST_MEMORY: usize = 2 * MAX_PAYLOAD;

/// How many verified batches may wait for the store.
const WRITE_QUEUE: usize = 4;

/// Where blocks come from and how much is done at a time.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// The 0-dbs, the preferred one first. The next one is asked for what one does not have, has
    /// in a damaged form, or cannot be asked for because it is down.
    pub sources: Vec<ZdbAddress>,
    /// Connections to each source. Default 4.
    pub connections: usize,
    /// Blocks in flight on one connection, at most; fewer when blocks are large. Default 2,048,
    /// which keeps a link of 50 ms busy with 160,000 blocks a second over four connections.
    pub in_flight: usize,
    /// Bytes of payload that have arrived and are not stored yet, over all connections; at least
    /// 16 MiB. A partly received block for each connection comes on top. It is also what is asked
    /// for ahead, by the blocks' average size. Default 64 MiB.
    pub memory: usize,
    /// Whether each block's time is asked for (`KEYTIME`) and kept. Without it blocks are stamped
    /// with the present. Default `true`.
    pub timestamps: bool,
    /// The store is flushed each time this many bytes were put. Default 256 MiB.
    pub flush_every: u64,
    /// How much is asked for. Default: any amount.
    pub limiter: Limiter,
    /// Time-outs and limits of a connection.
    pub client: ClientOptions,
    /// How often a connection that fails is made again without any answer in between; a source
    /// whose connections all failed that often counts as down.
    pub retry: RetryPolicy,
}

impl FetchOptions {
    /// The defaults, with `sources`.
    #[must_use]
    pub fn new(sources: Vec<ZdbAddress>) -> Self {
        Self {
            sources,
            connections: 4,
            in_flight: 2048,
            memory: 64 * 1024 * 1024,
            timestamps: true,
            flush_every: 256 * 1024 * 1024,
            limiter: Limiter::default(),
            client: ClientOptions::default(),
            retry: RetryPolicy::default(),
        }
    }
}

/// Why a fetch ends before its time.
#[derive(Debug)]
enum Stop {
    Store(crate::store::StoreError),
    AllSourcesDown(crate::zdb::client::ClientError),
}

/// What all tasks of a fetch share.
struct Shared {
    options: FetchOptions,
    store: Arc<dyn BlockStore>,
    /// Cancelled from outside, or by the first [`Stop`].
    cancel: CancellationToken,
    /// Bytes that may still arrive.
    memory: Arc<Semaphore>,
    report: Mutex<FetchReport>,
    stop: Mutex<Option<Stop>>,
    live_sources: AtomicUsize,
    progress: SharedProgress,
    task: bcm_core::progress::TaskId,
}

impl Shared {
    fn report<T>(&self, change: impl FnOnce(&mut FetchReport) -> T) -> T {
        // A panic elsewhere leaves numbers behind that are still numbers.
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the fetch; the first reason counts.
    fn stop(&self, reason: Stop) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if stop.is_none() && !self.cancel.is_cancelled() {
            *stop = Some(reason);
        }
        drop(stop);
        self.cancel.cancel();
    }

    /// A source was given up because of `error`.
    fn source_down(&self, number: usize, error: crate::zdb::client::ClientError) {
        let text = chain(&error);
        self.progress.note(Level::Warning, &text);
        self.report(|report| {
            if let Some(source) = report.sources.get_mut(number) {
                source.down = Some(text);
            }
        });
        if self.live_sources.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop(Stop::AllSourcesDown(error));
        }
    }
}

/// Fetches every key that comes out of `wanted` and stores it, until `wanted` is closed. Each
/// block is checked against its key before it is stored. The store is flushed at the end, also
/// when the fetch fails or is cancelled.
///
/// Keys that the store already has are fetched again; leave them out. Dropping the future leaves
/// blocks behind that may not be flushed; cancel instead.
///
/// # Errors
/// There is no source, all sources are down, the store failed, or `cancel` was cancelled. A block
/// that could not be had is not an error; see [`FetchReport::missing`].
pub async fn fetch_blocks(
    options: &FetchOptions,
    wanted: mpsc::Receiver<Vec<BlockKey>>,
    store: Arc<dyn BlockStore>,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<FetchReport, FetchError> {
    if options.sources.is_empty() {
        return Err(FetchError::NoSource);
    }
    let memory = options.memory.clamp(LEAST_MEMORY, u32::MAX as usize / 2);
    let task = progress.started("fetching blocks", Unit::Blocks, None);
    let shared = Arc::new(Shared {
        store,
        cancel: cancel.child_token(),
        memory: Arc::new(Semaphore::new(memory)),
        report: Mutex::new(FetchReport::new(&options.sources)),
        stop: Mutex::new(None),
        live_sources: AtomicUsize::new(options.sources.len()),
        progress,
        task,
        options: FetchOptions {
            memory,
            connections: options.connections.max(1),
            in_flight: options.in_flight.max(1),
            ..options.clone()
        },
    });

    let (to_store, from_verifiers) = mpsc::channel(WRITE_QUEUE);
    let writer = tokio::task::spawn_blocking({
        let shared = Arc::clone(&shared);
        move || write_blocks(&shared, from_verifiers)
    });
    let mut tasks = JoinSet::new();
    let mut next = Next::End(Arc::clone(&shared));
    for number in (0..shared.options.sources.len()).rev() {
        let (sender, lane) = Lane::new(Arc::clone(&shared), number, next);
        lane.spawn(&mut tasks, &to_store);
        next = Next::Lane(sender);
    }
    drop(to_store);
    tasks.spawn(feed(Arc::clone(&shared), wanted, next));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            shared.cancel.cancel();
            std::panic::resume_unwind(error.into_panic());
        }
    }
    if let Err(error) = writer.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
    conclude(&shared, &cancel)
}

/// Gives the wanted keys to the first lane, in small pieces, so that all connections get some.
async fn feed(shared: Arc<Shared>, mut wanted: mpsc::Receiver<Vec<BlockKey>>, first: Next) {
    let mut total: u64 = 0;
    let feeding = async {
        while let Some(keys) = wanted.recv().await {
            total += keys.len() as u64;
            shared.progress.total(shared.task, total);
            for chunk in keys.chunks(CHUNK) {
                first
                    .send(chunk.iter().copied().map(Ask::new).collect())
                    .await;
            }
        }
    };
    shared.cancel.run_until_cancelled(feeding).await;
}

fn conclude(shared: &Shared, cancel: &CancellationToken) -> Result<FetchReport, FetchError> {
    let report = shared.report(std::mem::take);
    let stop = shared
        .stop
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let result = match stop {
        Some(Stop::Store(source)) => Err(FetchError::Store {
            source,
            report: Box::new(report),
        }),
        Some(Stop::AllSourcesDown(source)) => Err(FetchError::AllSourcesDown {
            count: shared.options.sources.len(),
            source: Box::new(source),
            report: Box::new(report),
        }),
        None if cancel.is_cancelled() => Err(FetchError::Cancelled {
            report: Box::new(report),
        }),
        None => Ok(report),
    };
    let outcome = match &result {
        Ok(report) if report.missing == 0 => Outcome::Done,
        Ok(report) => Outcome::Partial(format!("{} blocks could not be had", report.missing)),
        Err(error) => Outcome::Failed(error.to_string()),
    };
    shared.progress.finished(shared.task, &outcome);
    result
}

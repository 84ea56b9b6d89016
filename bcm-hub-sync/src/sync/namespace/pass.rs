//! Going through a namespace by its scan, in rounds.

use std::sync::Arc;

use bcm_core::progress::{Level, Outcome, TaskId, Unit};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::super::blocks::{FetchError, FetchOptions, FetchReport, fetch_blocks};
use super::super::error::{SyncError, is_full};
use super::memory::Memory;
use super::{Failed, MAX_PENDING, Mirrored, Namespace, ROUND, entries};
use crate::block::BlockKey;
use crate::store::MAX_PAYLOAD;
use crate::zdb::client::{ClientError, ScanPage, ZdbClient};
use bcm_core::cause::chain;

/// How many batches of keys wait for the fetch.
const KEY_QUEUE: usize = 16;

/// More entries than the namespace says it has may come while it grows; beyond this, somebody
/// makes them up.
const SLACK: u64 = 1_000_000;

pub(super) struct Pass<'a> {
    pub(super) namespace: &'a Namespace<'a>,
    /// The source's address.
    pub(super) name: &'a str,
    pub(super) options: &'a FetchOptions,
    pub(super) memory: &'a mut Memory,
    pub(super) mirrored: &'a mut Mirrored,
}

/// What one round did.
struct Round {
    cursor: Option<Bytes>,
    listed: u64,
    wanted: Vec<BlockKey>,
    at_end: bool,
    /// Why it ended before its time. What was listed until then counts.
    broken: Option<Failed>,
}

/// Whether a scan that has given `seen` entries never ends. What the source says of itself may be as
/// wrong as its scan; what came of it is `held` here.
pub(super) fn is_endless(seen: u64, total: Option<u64>, held: u64) -> bool {
    let most = held.saturating_mul(4).saturating_add(SLACK);
    let believed = total.map_or(held, |total| total.min(most));
    seen > believed.saturating_mul(2).saturating_add(SLACK)
}

impl Pass<'_> {
    /// Goes on with the scan until its end. Whether that ended a scan of all the namespace.
    pub(super) async fn run(&mut self, client: &mut ZdbClient) -> Result<bool, Failed> {
        let namespace = self.options.sources[0].namespace().to_owned();
        let total = entries(client, &namespace).await?;
        let source = self.memory.source(self.name).clone();
        let task = self.namespace.progress.started(
            "scanning the namespace",
            Unit::Blocks,
            total.map(|total| total.saturating_sub(source.seen)),
        );
        let result = self.rounds(client, total, task).await;
        let outcome = match &result {
            Ok(_) => Outcome::Done,
            Err(failed) => Outcome::Failed(failed.reason()),
        };
        self.namespace.progress.finished(task, &outcome);
        result
    }

    async fn rounds(
        &mut self,
        client: &mut ZdbClient,
        total: Option<u64>,
        task: TaskId,
    ) -> Result<bool, Failed> {
        let was_complete = self.memory.source(self.name).complete;
        let mut started_again = false;
        let mut loops = Loops::default();
        loop {
            let cursor = self.memory.source(self.name).cursor();
            let round = self.round(client, cursor, task, &mut loops).await?;
            let source = self.memory.source(self.name);
            source.seen += round.listed;
            let seen = source.seen;
            if let Some(cursor) = &round.cursor {
                source.set_cursor(cursor);
            }
            if round.at_end {
                source.complete = true;
            }
            self.memory.save(&self.namespace.layout.scan_state())?;
            match round.broken {
                None => {}
                Some(Failed::UnknownCursor) if !started_again => {
                    started_again = true;
                    let text = format!(
                        "{} does not know where the last scan ended (it was compacted, perhaps): \
                         its namespace is scanned from the beginning",
                        self.name
                    );
                    self.namespace.progress.note(Level::Info, &text);
                    if let Some(total) = total {
                        self.namespace.progress.total(task, total);
                    }
                    *self.memory.source(self.name) = super::memory::Source::default();
                    loops = Loops::default();
                    continue;
                }
                Some(failed) => return Err(failed),
            }
            if round.at_end {
                return Ok(!was_complete || started_again);
            }
            let held = self.namespace.stats().await?.blocks;
            if is_endless(seen, total, held) {
                let said = total.map_or(String::new(), |total| {
                    format!(" it says that it has {total},")
                });
                return Err(Failed::Source(format!(
                    "its scan has given {seen} entries and goes on, but{said} {held} are here"
                )));
            }
        }
    }

    /// Scans about [`ROUND`] keys and fetches those that are not here, until they are durable.
    async fn round(
        &mut self,
        client: &mut ZdbClient,
        cursor: Option<Vec<u8>>,
        task: TaskId,
        loops: &mut Loops,
    ) -> Result<Round, Failed> {
        let (keys, wanted) = mpsc::channel(KEY_QUEUE);
        let fetching = self.fetch(wanted);
        let scanning = self.scan_round(client, cursor, task, loops, keys);
        let (scanned, fetched) = tokio::join!(scanning, fetching);
        let (mut round, oversized) = scanned?;
        if round.broken.is_some() && round.listed == 0 {
            return Ok(round);
        }
        for (key, size) in oversized {
            let text = format!("{size} bytes are more than a block may have");
            self.mirrored.refused.add(None, &key.to_string(), text);
        }
        let wanted = std::mem::take(&mut round.wanted);
        self.settle(client, wanted, fetched).await?;
        Ok(round)
    }

    /// Asks for everything again that an earlier sync could not have.
    pub(super) async fn retry_pending(&mut self) -> Result<(), Failed> {
        if self.memory.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.memory.pending);
        let absent = self.namespace.absent(pending).await?;
        let (keys, wanted) = mpsc::channel(1);
        let sent = absent.clone();
        let feeding = async move {
            // Fails only when the fetch has ended, which says why.
            let _ = keys.send(sent).await;
        };
        let ((), fetched) = tokio::join!(feeding, self.fetch(wanted));
        let mut client = ZdbClient::connect(&self.options.sources[0], &self.options.client).await?;
        self.settle(&mut client, absent, fetched).await
    }

    fn fetch(
        &self,
        wanted: mpsc::Receiver<Vec<BlockKey>>,
    ) -> impl Future<Output = Result<FetchReport, FetchError>> + use<> {
        let options = self.options.clone();
        let store = Arc::clone(&self.namespace.store);
        let progress = Arc::clone(&self.namespace.progress);
        let cancel = self.namespace.cancel.clone();
        async move { fetch_blocks(&options, wanted, store, progress, cancel).await }
    }

    async fn scan_round(
        &self,
        client: &mut ZdbClient,
        cursor: Option<Vec<u8>>,
        task: TaskId,
        loops: &mut Loops,
        keys: mpsc::Sender<Vec<BlockKey>>,
    ) -> Result<(Round, Vec<(BlockKey, u64)>), Failed> {
        let mut round = Round {
            cursor: cursor.map(Bytes::from),
            listed: 0,
            wanted: Vec::new(),
            at_end: false,
            broken: None,
        };
        let mut oversized = Vec::new();
        let limiter = &self.options.limiter;
        while round.listed < ROUND as u64 {
            limiter.request().await;
            let page = match client.scan(round.cursor.as_deref()).await {
                Ok(Some(page)) => page,
                Ok(None) => {
                    round.at_end = true;
                    break;
                }
                Err(ClientError::Refused { message, .. })
                    if message == "Invalid key format" && round.cursor.is_some() =>
                {
                    round.broken = Some(Failed::UnknownCursor);
                    break;
                }
                Err(error) => {
                    round.broken = Some(error.into());
                    break;
                }
            };
            if let Err(why) = loops.note(&page.cursor) {
                round.broken = Some(Failed::Source(why));
                break;
            }
            let listed = page.entries.len() as u64;
            limiter.bytes(page.wire_bytes()).await;
            let page_cursor = page.cursor.clone();
            let absent = self.namespace.absent(keys_of(page, &mut oversized)).await?;
            round.wanted.extend(&absent);
            if !absent.is_empty() && keys.send(absent).await.is_err() {
                // The fetch has ended early and says why.
                break;
            }
            round.listed += listed;
            round.cursor = Some(page_cursor);
            self.namespace.progress.advanced(task, listed, 0);
        }
        Ok((round, oversized))
    }

    /// Takes note of what a fetch did, and of the blocks that it could not have.
    async fn settle(
        &mut self,
        client: &mut ZdbClient,
        wanted: Vec<BlockKey>,
        fetched: Result<FetchReport, FetchError>,
    ) -> Result<(), Failed> {
        let report = match fetched {
            Ok(report) => report,
            Err(FetchError::Cancelled { .. }) => return Err(SyncError::Cancelled.into()),
            Err(FetchError::Store { source, .. }) => {
                let error = SyncError::Store(source);
                return Err(error.or_full(self.namespace.layout.root()).into());
            }
            Err(error) if is_full(&error) => {
                return Err(Failed::Stop(SyncError::Full {
                    path: self.namespace.layout.root().to_owned(),
                    source: Box::new(error),
                }));
            }
            Err(error) => {
                if let Some(report) = error.report() {
                    self.mirrored.fetched += report.fetched;
                    self.mirrored.bytes += report.bytes;
                }
                return Err(Failed::Source(chain(&error)));
            }
        };
        self.mirrored.fetched += report.fetched;
        self.mirrored.bytes += report.bytes;
        if report.missing == 0 {
            return Ok(());
        }
        for key in self.namespace.absent(wanted).await? {
            self.options.limiter.request().await;
            if !client.exists(key.as_bytes()).await? {
                // Deleted since it was listed.
                continue;
            }
            let reason = report.refused.first.iter().find(|one| one.key == key);
            let reason = match reason {
                Some(refused) => refused.reason.clone(),
                None => "could not be fetched".to_owned(),
            };
            let name = format!("block {key}");
            self.mirrored.refused.add(None, &name, reason);
            if self.memory.pending.len() < MAX_PENDING {
                self.memory.pending.push(key);
            } else {
                // Too many to remember: the next sync looks at everything again.
                *self.memory.source(self.name) = super::memory::Source::default();
            }
        }
        Ok(())
    }
}

/// The keys of blocks in `page`; what is too large to be one is put into `oversized`.
fn keys_of(page: ScanPage, oversized: &mut Vec<(BlockKey, u64)>) -> Vec<BlockKey> {
    let mut keys = Vec::with_capacity(page.entries.len());
    for entry in page.entries {
        // A namespace may hold other things than blocks.
        let Ok(key) = BlockKey::from_bytes(&entry.key) else {
            continue;
        };
        match entry.size <= MAX_PAYLOAD as u64 {
            true => keys.push(key),
            false => oversized.push((key, entry.size)),
        }
    }
    keys
}

/// Notices a scan that goes in a circle, with two cursors in memory: one that stands still is
/// compared with every one that comes, and is replaced by the present one after 1, 2, 4, 8 … pages
/// (Brent's way). A circle of n pages is noticed after at most 3 n of them.
#[derive(Debug, Default)]
pub(super) struct Loops {
    still: Option<Bytes>,
    pages: u64,
    next: u64,
}

impl Loops {
    pub(super) fn note(&mut self, cursor: &Bytes) -> Result<(), String> {
        if self.still.as_ref() == Some(cursor) {
            return Err("its scan goes in a circle: a cursor came twice".to_owned());
        }
        self.pages += 1;
        if self.pages > self.next {
            self.still = Some(cursor.clone());
            self.next = self.pages * 2;
        }
        Ok(())
    }
}

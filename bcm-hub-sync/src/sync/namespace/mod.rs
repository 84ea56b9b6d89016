//! Mirrors every block of an upstream's namespace, not only those that flists name.
//!
//! The namespace is gone through by the 0-db's own scan, in the order in which blocks came into it.
//! The scan's cursor is saved after every [`ROUND`] of keys whose blocks are stored and durable,
//! so it can be stopped at any moment, and a later sync sees only what came since. When a server
//! does not know the cursor any more (it compacted its files), the scan starts again; what is held
//! is not fetched twice.
//!
//! What upstream deleted does not show in a scan. When the namespace has fewer entries than were
//! seen, or a whole scan has just ended, every block that is held is asked for; see [`gone`].

mod gone;
mod memory;
mod pass;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bcm_core::deletion::Guard;
use bcm_core::progress::{Level, SharedProgress};
use tokio_util::sync::CancellationToken;

use super::blocks::FetchOptions;
use super::config::SyncConfig;
use super::error::SyncError;
use super::report::Refusals;
use crate::block::BlockKey;
use crate::catalog::Catalog;
use crate::layout::Layout;
use crate::store::BlockStore;
use crate::zdb::client::{ClientError, ZdbClient};
use bcm_core::cause::chain;

use self::memory::Memory;
use self::pass::Pass;

/// How many keys are scanned between two moments at which the cursor is saved.
const ROUND: usize = 65_536;

/// How many keys that could not be had are tried again by the next sync; when there are more, it
/// scans from the beginning.
const MAX_PENDING: usize = 10_000;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Mirrored {
    /// Blocks that were fetched.
    pub(super) fetched: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Blocks that were deleted here because they are gone upstream.
    pub(super) deleted: u64,
    /// Blocks that are gone upstream and wait for their deletion.
    pub(super) awaiting: u64,
    /// Why nothing was deleted.
    pub(super) guard: Option<Guard>,
    /// Blocks that could not be taken.
    pub(super) refused: Refusals,
    /// Why the namespace could not be gone through to its end.
    pub(super) unfinished: Option<String>,
    pub(super) warnings: Vec<String>,
}

/// What it works with.
pub(super) struct Namespace<'a> {
    pub(super) layout: &'a Layout,
    pub(super) config: &'a SyncConfig,
    pub(super) store: Arc<dyn BlockStore>,
    /// What is published: blocks that it names are never deleted.
    pub(super) published: &'a Catalog,
    pub(super) now: i64,
    pub(super) progress: SharedProgress,
    pub(super) cancel: CancellationToken,
}

/// Why a source is left.
enum Failed {
    /// It cannot be used; another one may.
    Source(String),
    /// It does not know the cursor at which the last scan ended.
    UnknownCursor,
    Stop(SyncError),
}

impl Failed {
    fn reason(&self) -> String {
        match self {
            Self::Source(why) => why.clone(),
            Self::UnknownCursor => "it refuses every cursor that it gives".to_owned(),
            Self::Stop(error) => error.to_string(),
        }
    }
}

impl From<SyncError> for Failed {
    fn from(error: SyncError) -> Self {
        Self::Stop(error)
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self::Source(chain(&error))
    }
}

impl Namespace<'_> {
    /// Fetches what is missing here and takes note of what is gone upstream. A source that fails
    /// is not an error: the next one is asked, and the report says what is left.
    pub(super) async fn mirror(&self) -> Result<Mirrored, SyncError> {
        let mut mirrored = Mirrored::default();
        let path = self.layout.scan_state();
        let mut memory = Memory::load(&path)?;
        if let Some(damage) = memory.damaged.take() {
            let text = format!(
                "{} was damaged ({damage}): the namespace is scanned from its beginning",
                path.display()
            );
            self.progress.note(Level::Warning, &text);
            mirrored.warnings.push(text);
        }
        for source in self.config.block_sources() {
            let name = source.to_string();
            let mut options = self.config.fetch.clone();
            options.sources = vec![source];
            let work = self.mirror_source(&name, options, &mut memory, &mut mirrored);
            let ended = self.cancel.run_until_cancelled(work).await;
            match ended.unwrap_or(Err(Failed::Stop(SyncError::Cancelled))) {
                Ok(()) => {
                    mirrored.unfinished = None;
                    return Ok(mirrored);
                }
                Err(Failed::Stop(error)) => return Err(error),
                Err(failed) => {
                    let why = failed.reason();
                    let text =
                        format!("the namespace of {name} was not mirrored to its end: {why}");
                    self.progress.note(Level::Warning, &text);
                    mirrored.unfinished = Some(text);
                }
            }
        }
        Ok(mirrored)
    }

    async fn mirror_source(
        &self,
        name: &str,
        options: FetchOptions,
        memory: &mut Memory,
        mirrored: &mut Mirrored,
    ) -> Result<(), Failed> {
        let Some(address) = options.sources.first().cloned() else {
            return Ok(());
        };
        let mut client = ZdbClient::connect(&address, &options.client).await?;
        let mut pass = Pass {
            namespace: self,
            name,
            options: &options,
            memory,
            mirrored,
        };
        pass.retry_pending().await?;
        let whole = pass.run(&mut client).await?;
        let entries = entries(&mut client, address.namespace()).await?;
        let seen = pass.memory.source(name).seen;
        let deleted_there = entries.is_some_and(|entries| entries < seen);
        if self.config.delete_after.is_some()
            && (whole || deleted_there || self.layout.gone_blocks().exists())
        {
            self.compare(&mut client, mirrored).await?;
            // What is gone there is not missed again.
            memory.source(name).seen = entries.unwrap_or(seen).min(seen);
            memory.save(&self.layout.scan_state())?;
        }
        Ok(())
    }

    /// The keys of `keys` that are not here.
    async fn absent(&self, keys: Vec<BlockKey>) -> Result<Vec<BlockKey>, SyncError> {
        let store = Arc::clone(&self.store);
        let work = move || -> Result<Vec<BlockKey>, SyncError> {
            let mut keys = keys;
            keys.sort_unstable();
            keys.dedup();
            let held = store.contains(&keys)?;
            let all = keys.into_iter().zip(held);
            Ok(all.filter(|(_, held)| !held).map(|(key, _)| key).collect())
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(SyncError::Panicked)?
    }
}

/// How many entries the namespace has; `None` where the server does not say.
async fn entries(client: &mut ZdbClient, namespace: &str) -> Result<Option<u64>, ClientError> {
    let fields = match client.namespace_info(namespace).await {
        Ok(fields) => fields,
        Err(ClientError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let entries = fields.iter().find(|(field, _)| field == "entries");
    Ok(entries.and_then(|(_, value)| value.parse().ok()))
}

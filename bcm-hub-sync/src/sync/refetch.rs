//! Fetches the blocks again that published flists name and the store lacks, whether upstream still
//! lists these flists or not: one that is pinned, or gone and in its time of grace, is to be whole.

use std::sync::Arc;

use bcm_core::progress::SharedProgress;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::blocks::{FetchError, fetch_blocks};
use super::config::{BlockMode, SyncConfig};
use super::error::{Stop, SyncError};
use super::stage::{Recent, request_blocks};
use crate::catalog::local;
use crate::layout::Layout;
use crate::store::BlockStore;

/// How many batches of keys wait for the fetch.
const KEY_QUEUE: usize = 16;

/// Fetches what is missing, as far as the sources of `config` have it. What they do not have, and
/// an flist that cannot be read, is for a verification to name.
pub(crate) async fn refetch(
    layout: &Layout,
    config: &SyncConfig,
    store: &Arc<dyn BlockStore>,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<(), SyncError> {
    let mut options = config.fetch.clone();
    options.sources = config.block_sources();
    if config.blocks == BlockMode::None || options.sources.is_empty() {
        return Ok(());
    }
    let (keys, wanted) = mpsc::channel(KEY_QUEUE);
    let (own_layout, own_store) = (layout.clone(), Arc::clone(store));
    let (limits, stop) = (config.limits.clone(), cancel.clone());
    let reading = tokio::task::spawn_blocking(move || -> Result<(), SyncError> {
        let (users, scratch) = (own_layout.users(), own_layout.staging());
        let recent = Recent::default();
        for place in local::scan(&own_layout)?.files.keys() {
            if stop.is_cancelled() {
                return Err(SyncError::Cancelled);
            }
            let path = users.join(&place.repository).join(&place.name);
            let keys = Some(keys.clone());
            match request_blocks(&path, &limits, &scratch, &*own_store, keys, &recent) {
                Ok(_) | Err(Stop::Entry(_)) => {}
                Err(Stop::All(error)) => return Err(error),
            }
        }
        Ok(())
    });
    let fetched = fetch_blocks(&options, wanted, Arc::clone(store), progress, cancel).await;
    reading.await.map_err(SyncError::Panicked)??;
    match fetched {
        Err(FetchError::Cancelled { .. }) => Err(SyncError::Cancelled),
        Err(FetchError::Store { source, .. }) => {
            Err(SyncError::Store(source).or_full(layout.root()))
        }
        Err(error) => {
            tracing::warn!(%error, "not every missing block could be fetched");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

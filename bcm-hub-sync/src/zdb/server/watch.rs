//! Tells those who wait when something was put into the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::store::BlockStore;

/// How often the store is looked at while somebody waits. The store may be written by another
/// process, which can tell nobody.
const INTERVAL: Duration = Duration::from_millis(50);

/// One look at the store for all who wait, and none when nobody does.
pub(super) struct StoreWatch {
    store: Arc<dyn BlockStore>,
    latest: watch::Sender<u64>,
    wanted: Notify,
}

impl StoreWatch {
    pub(super) fn new(store: Arc<dyn BlockStore>) -> Self {
        Self {
            store,
            latest: watch::Sender::new(0),
            wanted: Notify::new(),
        }
    }

    /// Looks, for ever.
    pub(super) async fn run(&self) {
        loop {
            if self.latest.receiver_count() == 0 {
                self.wanted.notified().await;
            }
            if let Some(generation) = self.look().await {
                self.latest.send_if_modified(|latest| {
                    let changed = *latest != generation;
                    *latest = generation;
                    changed
                });
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn look(&self) -> Option<u64> {
        let store = Arc::clone(&self.store);
        let looked = tokio::task::spawn_blocking(move || store.generation()).await;
        match looked {
            Ok(Ok(generation)) => Some(generation),
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not see whether the store has changed");
                None
            }
            Err(_) => None,
        }
    }

    /// Waits until something is put into the store after this call. Ends only then.
    pub(super) async fn changed(&self) {
        let mut latest = self.latest.subscribe();
        latest.mark_unchanged();
        self.wanted.notify_one();
        let Some(before) = self.look().await else {
            return std::future::pending().await;
        };
        // What was the latest before may be from long ago; only what differs from now counts.
        while latest.changed().await.is_ok() {
            if *latest.borrow_and_update() != before {
                return;
            }
        }
        std::future::pending().await
    }
}

//! Keeps the current [`Snapshot`]: swapped whole when the tree changed, and never in the middle of
//! a publication.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::snapshot::Snapshot;
use crate::catalog::local::LocalError;
use crate::layout::Layout;

/// How long a request waits for a new snapshot before it makes do with the one there is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a look waits for the end of a publication that it ran into.
const PUBLICATION_PATIENCE: Duration = Duration::from_secs(2);

/// The tree of one data folder, watched.
#[derive(Debug)]
pub(super) struct Watch {
    layout: Layout,
    interval: Duration,
    current: RwLock<Current>,
    /// Held while the tree is looked at; when that was last done.
    looked: tokio::sync::Mutex<()>,
    looked_at: Mutex<Option<Instant>>,
    /// Told about every new snapshot.
    changed: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Current {
    snapshot: Option<Arc<Snapshot>>,
    /// Why the tree could not be read when it was last tried.
    error: Option<String>,
}

/// Why the tree is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It may have changed. The old snapshot will do while a publication is under way.
    IfOutdated,
    /// It has changed under the old snapshot.
    Now,
}

impl Watch {
    /// A watch that looks at the tree at most once in `interval`.
    pub(super) fn new(layout: Layout, interval: Duration) -> Self {
        Self {
            layout,
            interval,
            current: RwLock::default(),
            looked: tokio::sync::Mutex::default(),
            looked_at: Mutex::default(),
            changed: tokio::sync::Notify::new(),
        }
    }

    /// The data folder.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The snapshot to answer a request from, at most `interval` old; `None` where the tree could
    /// never be read.
    pub(super) async fn snapshot(self: &Arc<Self>) -> Option<Arc<Snapshot>> {
        if self.is_due() {
            let this = Arc::clone(self);
            // On its own task, so that a client that goes away does not end it half way.
            let look = tokio::spawn(async move {
                let _looking = this.looked.lock().await;
                if this.is_due() {
                    this.look(Need::IfOutdated).await;
                }
            });
            let _ = timeout(PATIENCE, look).await;
        }
        self.load()
    }

    /// Looks at the tree now, whenever that was last done.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let _looking = self.looked.lock().await;
        self.look(Need::IfOutdated).await;
    }

    /// The snapshot after something on the disk was found to differ from `known`.
    pub(super) async fn newer_than(
        self: &Arc<Self>,
        known: &Arc<Snapshot>,
    ) -> Option<Arc<Snapshot>> {
        let this = Arc::clone(self);
        let known = Arc::clone(known);
        let look = tokio::spawn(async move {
            let _looking = this.looked.lock().await;
            if this.load().is_some_and(|now| Arc::ptr_eq(&now, &known)) {
                this.look(Need::Now).await;
            }
        });
        let _ = timeout(PATIENCE, look).await;
        self.load()
    }

    /// Why the tree could not be read when it was last tried, if so.
    pub(super) fn error(&self) -> Option<String> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.error.clone()
    }

    /// Waits until there is another snapshot.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The snapshot that is there, without a look at the tree.
    pub(super) fn load(&self) -> Option<Arc<Snapshot>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.snapshot.clone()
    }

    /// Whether somebody looks at the tree at this moment.
    #[cfg(test)]
    pub(super) fn is_looking(&self) -> bool {
        self.looked.try_lock().is_err()
    }

    fn is_due(&self) -> bool {
        let looked_at = self
            .looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        looked_at.is_none_or(|then| then.elapsed() >= self.interval)
    }

    fn journal_exists(&self) -> bool {
        self.layout.publish_journal().exists()
    }

    async fn look(self: &Arc<Self>, need: Need) {
        let this = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || this.look_now(need)).await;
        if let Err(error) = looked {
            tracing::error!(%error, "looking at the tree failed");
        }
        let mut looked_at = self
            .looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *looked_at = Some(Instant::now());
    }

    /// Takes a new snapshot if one is needed and can be had. Blocks.
    fn look_now(&self, need: Need) {
        let old = self.load();
        if let Some(old) = &old
            && need == Need::IfOutdated
        {
            if self.journal_exists() {
                return;
            }
            if self.error().is_none() && !old.is_outdated(&self.layout) {
                return;
            }
        }
        let may_keep_old = old.is_some() && need == Need::IfOutdated;
        let deadline = Instant::now() + PUBLICATION_PATIENCE;
        loop {
            // A publication that does not end has probably crashed. Every flist that it has
            // renamed is whole, so a mixed view beats none.
            while self.journal_exists() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            let taken = Snapshot::take(&self.layout);
            let disturbed = match &taken {
                Ok(snapshot) => self.journal_exists() || snapshot.has_moved(),
                Err(_) => false,
            };
            if disturbed && Instant::now() < deadline {
                // What was seen may be half of the old and half of the new.
                continue;
            }
            if disturbed && may_keep_old && self.journal_exists() {
                // The next look finds the tree changed again.
                return;
            }
            return self.replace(taken);
        }
    }

    fn replace(&self, taken: Result<Snapshot, LocalError>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match taken {
            Ok(snapshot) => {
                for odd in snapshot.odd() {
                    tracing::debug!(path = %odd.path.display(), odd.reason, "left out");
                }
                *current = Current {
                    snapshot: Some(Arc::new(snapshot)),
                    error: None,
                };
            }
            Err(error) => {
                let mut text = error.to_string();
                if let Some(source) = std::error::Error::source(&error) {
                    text = format!("{text}: {source}");
                }
                tracing::error!(error = text, "the tree cannot be read");
                current.error = Some(text);
            }
        }
        drop(current);
        self.changed.notify_one();
    }
}

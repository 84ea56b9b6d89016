//! Keeps the current [`Snapshot`]: swapped whole when the tree changed, and never in the middle of
//! a publication.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::snapshot::Snapshot;
use crate::layout::Layout;

/// How often a tree that changes while it is read is read again.
const MAX_SCANS: usize = 5;
/// How long a request waits for a new snapshot before it makes do with the one there is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request for an flist that was replaced waits for the publication to end.
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

/// Whether a publication that is under way is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Publication {
    KeepOld,
    LookAnyway,
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
                    this.look(Publication::KeepOld, false).await;
                }
            });
            let _ = timeout(PATIENCE, look).await;
        }
        self.load()
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
                // A publication that is still under way after that has probably crashed. Every
                // flist that it has renamed is whole, so a mixed view beats none.
                let waiting = Arc::clone(&this);
                let waited = tokio::task::spawn_blocking(move || waiting.wait_for_publication());
                let _ = waited.await;
                this.look(Publication::LookAnyway, true).await;
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

    async fn look(self: &Arc<Self>, publication: Publication, force: bool) {
        let this = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || this.look_now(publication, force)).await;
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
    fn look_now(&self, publication: Publication, force: bool) {
        let old = self.load();
        let keep_old = publication == Publication::KeepOld && old.is_some();
        if old.is_none() {
            self.wait_for_publication();
        }
        if keep_old && self.journal_exists() {
            return;
        }
        if let Some(old) = &old
            && !force
            && self.error().is_none()
            && !old.is_outdated(&self.layout)
        {
            return;
        }
        for attempt in 1..=MAX_SCANS {
            match Snapshot::take(&self.layout) {
                Ok(_) if keep_old && self.journal_exists() => {
                    // What was seen may be half of the old and half of the new. The next look
                    // finds the tree changed again.
                    return;
                }
                Ok(snapshot) if attempt < MAX_SCANS && snapshot.has_moved() => {}
                Ok(snapshot) => {
                    for odd in snapshot.odd() {
                        tracing::debug!(path = %odd.path.display(), odd.reason, "left out");
                    }
                    return self.replace(Some(snapshot), None);
                }
                Err(error) => {
                    let mut text = error.to_string();
                    if let Some(source) = std::error::Error::source(&error) {
                        text = format!("{text}: {source}");
                    }
                    tracing::error!(error = text, "the tree cannot be read");
                    return self.replace(None, Some(text));
                }
            }
        }
    }

    /// Gives a publication that is under way a moment to end. Blocks.
    fn wait_for_publication(&self) {
        let deadline = Instant::now() + PUBLICATION_PATIENCE;
        while self.journal_exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn replace(&self, snapshot: Option<Snapshot>, error: Option<String>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = snapshot {
            current.snapshot = Some(Arc::new(snapshot));
        }
        current.error = error;
        drop(current);
        self.changed.notify_one();
    }
}

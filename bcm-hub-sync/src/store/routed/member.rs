//! One of the stores that a routed store is made of.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::KeyRange;
use crate::store::{BlockStore, StoreError};
use bcm_core::cause::chain;

/// How long one that failed is asked last.
const REST: Duration = Duration::from_secs(5);

pub(super) struct Member {
    pub(super) range: KeyRange,
    pub(super) name: String,
    pub(super) store: Arc<dyn BlockStore>,
    /// Whether other members keep all that it keeps.
    pub(super) has_replicas: bool,
    health: Mutex<Health>,
    /// Blocks that it should have taken and did not.
    missed: AtomicU64,
}

#[derive(Default)]
struct Health {
    rests_until: Option<Instant>,
    /// Why it rests.
    failure: String,
    /// Why it missed a write last.
    reason: Option<String>,
}

impl Member {
    pub(super) fn new(
        range: KeyRange,
        name: String,
        store: Arc<dyn BlockStore>,
        has_replicas: bool,
    ) -> Self {
        Self {
            range,
            name,
            store,
            has_replicas,
            health: Mutex::default(),
            missed: AtomicU64::new(0),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it failed a moment ago.
    pub(super) fn rests(&self) -> bool {
        let until = self.health().rests_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    /// As [`Member::attempt`], but one that has replicas and failed a moment ago is not asked: the
    /// time that it takes to fail again would be spent on every block.
    pub(super) fn quick<T>(
        &self,
        ask: impl FnOnce(&dyn BlockStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.has_replicas && self.rests() {
            return Err(StoreError::Resting {
                store: self.name.clone(),
                reason: self.health().failure.clone(),
            });
        }
        self.attempt(ask)
    }

    /// Asks it, and remembers when it could not be asked.
    pub(super) fn attempt<T>(
        &self,
        ask: impl FnOnce(&dyn BlockStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let answer = ask(&*self.store);
        match &answer {
            Err(error @ (StoreError::Remote { .. } | StoreError::Io { .. })) => {
                let why = chain(error);
                let mut health = self.health();
                if health.rests_until.is_none() {
                    tracing::warn!(store = %self.name, %why, "a block store cannot be used");
                }
                health.failure = why;
                health.rests_until = Some(Instant::now() + REST);
            }
            // It answered, whatever it said.
            _ => {
                let mut health = self.health();
                if health.rests_until.take().is_some() {
                    tracing::info!(store = %self.name, "the block store can be used again");
                }
            }
        }
        answer
    }

    /// `blocks` went to its replicas alone, because of `error`.
    pub(super) fn missed(&self, blocks: u64, error: &StoreError) {
        self.missed.fetch_add(blocks, Ordering::Relaxed);
        self.health().reason = Some(chain(error));
    }

    pub(super) fn warning(&self) -> Option<String> {
        let reason = self.health().reason.clone()?;
        let missed = self.missed.load(Ordering::Relaxed);
        Some(format!(
            "the block store {} did not take {missed} blocks that its replicas have ({reason}); \
             `bcm hub verify --repair` copies them when it is back",
            self.name
        ))
    }
}

//! What a follower tells others about itself, in `hub/follow.json`.

use std::fs;
use std::io;
use std::path::Path;

use bcm_core::atomic_file;
use bcm_core::lock::{FolderLock, LockError};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;

/// What a follower is at. Times are in seconds since 1970, by this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowStatus {
    /// When it began to follow.
    pub since: i64,
    /// When the next sync is; `None` while one runs.
    pub next: Option<i64>,
    /// How many syncs in a row have failed.
    pub failures: u32,
}

impl FollowStatus {
    /// What the process that follows upstream for the data folder of `layout` is at; `None` where
    /// none does.
    #[must_use]
    pub fn of(layout: &Layout) -> Option<Self> {
        if !FolderLock::is_held(&layout.follow_lock()) {
            return None;
        }
        serde_json::from_slice(&fs::read(layout.follow()).ok()?).ok()
    }
}

/// The place of the one follower of a data folder. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    layout: &'a Layout,
    _lock: FolderLock,
}

impl<'a> Seat<'a> {
    pub(super) fn take(layout: &'a Layout) -> Result<Self, LockError> {
        let path = layout.follow_lock();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| LockError::Io { path, source }
        };
        fs::create_dir_all(layout.hub()).map_err(failed(&layout.hub()))?;
        let mut tries = 0;
        let _lock = loop {
            match FolderLock::acquire(&path) {
                // Somebody who looks whether there is a follower has it for a moment.
                Err(LockError::Held { .. }) if tries < 5 => tries += 1,
                other => break other?,
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        Ok(Self { layout, _lock })
    }

    /// Tells others. That this fails is no reason not to go on.
    pub(super) fn tell(&self, status: &FollowStatus) {
        let written = serde_json::to_vec(status)
            .map_err(io::Error::from)
            .and_then(|text| {
                atomic_file::write(&self.layout.follow(), &text, 0o644)
                    .map_err(|error| io::Error::new(error.io_error().kind(), error))
            });
        if let Err(error) = written {
            tracing::warn!(%error, "could not say when the next sync is");
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // Without the lock nobody believes it.
        let _ = fs::remove_file(self.layout.follow());
    }
}

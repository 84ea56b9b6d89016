//! Where things are in a data folder.

use std::path::{Path, PathBuf};

/// The paths of a data folder. Nothing outside [`Layout::root`] is ever written.
///
/// ```text
/// lock               one writer at a time
/// hub/users/         the published tree, in the layout that the upstream hub serves from
/// hub/blocks/        the embedded block store
/// hub/staging/       what a sync is working on
/// hub/state.json     cursors, tombstones, last good sync
/// hub/publish.json   there only while a sync publishes; see `sync::publish`
/// hub/reports/       the reports of the last syncs
/// hub/snapshots/     points that the tree can be taken back to; see `snapshots`
/// hub/follow.json    what the process that follows upstream is at; hub/follow.lock is held by it
/// hub/scan.json      how far the scan of a whole namespace got
/// hub/gone-blocks    blocks of it that are gone upstream, until they are deleted
/// hub/mode.json      there once the hub is no mirror, or none any more; see `mode`
/// hub/tokens.json    who may publish over the network, as hashes; see `tokens`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the data folder `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The data folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The writer's lock.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The hub's part of the data folder.
    #[must_use]
    pub fn hub(&self) -> PathBuf {
        self.root.join("hub")
    }

    /// The published tree: one folder a repository.
    #[must_use]
    pub fn users(&self) -> PathBuf {
        self.root.join("hub/users")
    }

    /// The embedded block store.
    #[must_use]
    pub fn blocks(&self) -> PathBuf {
        self.root.join("hub/blocks")
    }

    /// Work in progress of a sync; what a crash leaves here is used again or thrown away.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.root.join("hub/staging")
    }

    /// The state file of the sync.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("hub/state.json")
    }

    /// How far the scan of a whole namespace got.
    #[must_use]
    pub fn scan_state(&self) -> PathBuf {
        self.root.join("hub/scan.json")
    }

    /// The blocks of a whole namespace that are gone upstream and wait for their deletion.
    #[must_use]
    pub fn gone_blocks(&self) -> PathBuf {
        self.root.join("hub/gone-blocks")
    }

    /// The journal of a publication that is under way.
    #[must_use]
    pub fn publish_journal(&self) -> PathBuf {
        self.root.join("hub/publish.json")
    }

    /// The reports of the last syncs.
    #[must_use]
    pub fn reports(&self) -> PathBuf {
        self.root.join("hub/reports")
    }

    /// What the process that follows upstream is at.
    #[must_use]
    pub fn follow(&self) -> PathBuf {
        self.root.join("hub/follow.json")
    }

    /// Held by the process that follows upstream.
    #[must_use]
    pub fn follow_lock(&self) -> PathBuf {
        self.root.join("hub/follow.lock")
    }

    /// The snapshots.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("hub/snapshots")
    }

    /// The flists of all snapshots.
    #[must_use]
    pub fn snapshot_flists(&self) -> PathBuf {
        self.root.join("hub/snapshots/flists")
    }

    /// What the hub is, where it is no mirror.
    #[must_use]
    pub fn mode(&self) -> PathBuf {
        self.root.join("hub/mode.json")
    }

    /// The tokens of those who may publish over the network.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.root.join("hub/tokens.json")
    }

    /// Held while the tokens are changed.
    #[must_use]
    pub fn tokens_lock(&self) -> PathBuf {
        self.root.join("hub/tokens.lock")
    }
}

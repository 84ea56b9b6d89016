//! Where things are in a data folder.

use std::path::{Path, PathBuf};

use crate::kernel::{KernelName, LINKS};
use crate::run_mode::RunMode;

/// The paths of a data folder's `bootstrap` part. Nothing outside it is ever written.
///
/// ```text
/// bootstrap/lock                     one writer at a time (the hub's part has its own)
/// bootstrap/kernels/NAME             the kernels, with upstream's times
/// bootstrap/kernels/net/MODE.efi     links to them: one for each run mode
/// bootstrap/manifest.json            what each kernel is, and what upstream said of it
/// bootstrap/staging/                 downloads that are not whole yet
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

    /// The Bootstrap's part of the data folder.
    #[must_use]
    pub fn bootstrap(&self) -> PathBuf {
        self.root.join("bootstrap")
    }

    /// The writer's lock.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("bootstrap/lock")
    }

    /// The folder of the kernels.
    #[must_use]
    pub fn kernels(&self) -> PathBuf {
        self.root.join("bootstrap/kernels")
    }

    /// A kernel.
    #[must_use]
    pub fn kernel(&self, name: &KernelName) -> PathBuf {
        self.kernels().join(name.as_str())
    }

    /// The folder of the run modes' links.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.kernels().join(LINKS)
    }

    /// The link of a run mode.
    #[must_use]
    pub fn link(&self, mode: &RunMode) -> PathBuf {
        self.links().join(mode.link())
    }

    /// What each kernel is.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.root.join("bootstrap/manifest.json")
    }

    /// Downloads that are not whole yet; what a crash leaves here is used again or thrown away.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.root.join("bootstrap/staging")
    }
}

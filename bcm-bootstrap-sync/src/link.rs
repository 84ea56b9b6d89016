//! Turns a run mode by hand.

use std::path::PathBuf;

use bcm_core::lock::FolderLock;
use serde::Serialize;

use crate::kernel::KernelName;
use crate::layout::Layout;
use crate::local;
use crate::manifest::{Link, Manifest};
use crate::run_mode::RunMode;
use crate::sync::{self, SyncError};

/// What a run mode is to lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turn {
    /// This kernel, until upstream's run mode moves.
    To(KernelName),
    /// This kernel, whatever upstream does.
    Pin(KernelName),
    /// What upstream has.
    Follow,
}

/// A run mode cannot be turned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// There is no such kernel here.
    #[error("there is no kernel {0} here")]
    NoKernel(KernelName),
    /// It is not known what upstream has.
    #[error("no sync has learnt yet what {0} leads to upstream")]
    NotKnown(RunMode),
    /// What is known of the kernels and run modes cannot be read; writing it anew would lose it.
    #[error("{} is damaged ({reason}): `bcm bootstrap sync` makes it again", path.display())]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data folder cannot be written, or somebody else writes to it.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// What became of a run mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turned {
    /// Which.
    pub mode: RunMode,
    /// What it led to.
    pub from: Option<KernelName>,
    /// What it leads to.
    pub to: KernelName,
    /// Whether it stays there.
    pub pinned: bool,
}

/// Turns the run mode `mode`; with `dry_run`, only says what would become of it. Blocks.
///
/// # Errors
/// There is no such kernel, or the data folder cannot be written.
pub fn link(
    layout: &Layout,
    mode: &RunMode,
    turn: &Turn,
    dry_run: bool,
) -> Result<Turned, LinkError> {
    let _lock = match dry_run {
        true => None,
        false => {
            local::make_folders(layout).map_err(SyncError::from)?;
            Some(FolderLock::acquire(&layout.lock()).map_err(SyncError::from)?)
        }
    };
    let loaded = Manifest::load(&layout.manifest()).map_err(SyncError::from)?;
    if let Some(reason) = loaded.damaged {
        let path = layout.manifest();
        return Err(LinkError::Damaged { path, reason });
    }
    let mut manifest = loaded.manifest;
    let held = local::scan(layout).map_err(SyncError::from)?;
    let before = manifest.links.get(mode).cloned();
    let upstream = before.as_ref().and_then(|link| link.upstream.clone());
    let (to, pinned) = match turn {
        Turn::To(kernel) => (kernel.clone(), false),
        Turn::Pin(kernel) => (kernel.clone(), true),
        Turn::Follow => match &upstream {
            Some(upstream) => (upstream.kernel.clone(), false),
            None => return Err(LinkError::NotKnown(mode.clone())),
        },
    };
    if !held.kernels.contains_key(&to) {
        return Err(LinkError::NoKernel(to));
    }
    let from = before.as_ref().map(|link| link.kernel.clone());
    if !dry_run {
        local::set_link(layout, mode, &to).map_err(SyncError::from)?;
        let turned = match before {
            Some(before) if before.kernel == to => before.turned,
            _ => sync::now(),
        };
        let link = Link {
            kernel: to.clone(),
            pinned,
            turned,
            upstream,
        };
        manifest.links.insert(mode.clone(), link);
        manifest.save(&layout.manifest()).map_err(SyncError::from)?;
    }
    Ok(Turned {
        mode: mode.clone(),
        from,
        to,
        pinned,
    })
}

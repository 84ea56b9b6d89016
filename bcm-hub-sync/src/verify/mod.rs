//! Proves that a mirror is whole.
//!
//! Every block in the store is hashed again, every published flist is compared with the MD5 under
//! which it was published, opened, and each block that it names is looked up. Links, tags and
//! repositories are compared with what was published last, and links are followed.
//! Verifying only reads (unless told to remove damaged blocks), may run while a mirror serves or
//! syncs, and needs memory for a few blocks at a time.

mod blocks;
mod names;
mod repair;
mod report;
mod tree;

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bcm_core::progress::SharedProgress;
use tokio_util::sync::CancellationToken;

use crate::catalog::local::LocalError;
use crate::flist::{FlistError, Limits};
use crate::layout::Layout;
use crate::snapshots::{self, SnapshotError};
use crate::store::{BlockStore, StoreError};
use crate::sync::state::{State, StateError};

pub use repair::{RepairError, RepairReport, repair};
pub use report::{DamagedBlock, DamagedFlist, DamagedName, Listed, MAX_NAMED, VerifyReport};

/// How a mirror is verified.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// How much an flist may ask for before it counts as damaged.
    pub limits: Limits,
    /// How many threads hash blocks; 0, the default, is one for each core.
    pub threads: usize,
    /// Remove blocks that are damaged from the store, which must be writable. The next sync notices
    /// that there are fewer blocks and fetches what is missing. Default: no.
    pub remove_damaged: bool,
    /// Where the store keeps several copies of a block, make those that are damaged or missing from
    /// a good one. The store must be writable. Default: no.
    pub mend: bool,
    /// A folder elsewhere, in which flists are unpacked when the disk of the data folder is full.
    /// Default: none, and verifying fails then.
    pub scratch: Option<PathBuf>,
}

/// A mirror could not be verified to the end. Damage is not an error: it is in the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store cannot be read.
    #[error("the block store cannot be read")]
    Store(#[from] StoreError),
    /// The published tree cannot be read.
    #[error("the published tree cannot be read")]
    Local(#[from] LocalError),
    /// What the sync remembers cannot be used.
    #[error("what the sync remembers cannot be used")]
    State(#[from] StateError),
    /// The snapshots cannot be listed.
    #[error("the snapshots cannot be listed")]
    Snapshots(#[from] SnapshotError),
    /// An flist cannot be looked into, for a reason that is not its own, such as a full disk: it
    /// is unpacked in the data folder for that.
    #[error("an flist could not be checked")]
    Flist(#[from] FlistError),
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The caller asked to stop.
    #[error("verifying was interrupted")]
    Cancelled,
    /// A part of the program failed.
    #[error("a part of the verification failed unexpectedly")]
    Panicked(#[source] tokio::task::JoinError),
}

/// Whether there is a mirror in the data folder of `layout`: a published tree, or a memory of one
/// that is gone.
///
/// # Errors
/// What the sync remembers cannot be used.
pub fn is_mirror(layout: &Layout) -> Result<bool, VerifyError> {
    Ok(layout.users().is_dir() || State::load(&layout.state())?.state.names_anything())
}

/// Verifies the mirror in the data folder of `layout`, whose blocks are in `store`.
///
/// Cancel safety: nothing is changed, so it may be dropped at any time.
///
/// # Errors
/// Something could not be read at all, or `cancel` was cancelled.
pub async fn verify(
    layout: &Layout,
    store: Arc<dyn BlockStore>,
    options: &VerifyOptions,
    progress: SharedProgress,
    cancel: CancellationToken,
) -> Result<VerifyReport, VerifyError> {
    let started = Instant::now();
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads,
    };
    let work = async {
        let mut report = VerifyReport::default();
        let damaged = blocks::verify(&store, options, threads, &progress, &mut report).await?;
        tree::verify(
            layout,
            &store,
            options,
            threads,
            damaged,
            &progress,
            &mut report,
        )
        .await?;
        let listed = layout.clone();
        for snapshot in blocks::blocking(move || snapshots::list(&listed)).await?? {
            if let Some(why) = snapshot.damaged {
                let name = snapshot.name;
                let note = format!("the snapshot {name} cannot be restored: {why}");
                report.notes.add(note);
            }
        }
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    };
    let result = cancel.run_until_cancelled(work).await;
    result.unwrap_or(Err(VerifyError::Cancelled))
}

#[cfg(test)]
mod tests;

//! Making an flist of a folder.

mod attributes;
mod read;
mod tree;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use bcm_core::digest::Md5;
use bcm_core::progress::{Outcome, Progress, Unit};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::error::FlistError;
use super::metadata::{BACKEND, Backend};
use super::skipped::Skipped;
use super::summary::TreeCounts;
use super::writer::Writer;
use crate::block::codec::EncodeError;
use crate::store::{BlockStore, StoreError};
use bcm_core::cause::chain;

pub use attributes::{Attribute, Attributes};

/// More threads than this only wait for the disk, and each has files open.
const MAX_THREADS: usize = 64;

/// How to make an flist.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// Where nodes find the blocks, written into the flist. Default: not written; nodes then look
    /// at the hub that they got the flist from.
    pub backend: Option<Backend>,
    /// More metadata, such as `readme` and `entrypoint`. Default: none.
    pub metadata: Vec<(String, String)>,
    /// Names for owners and groups. Default: none, so that numbers stand for names.
    pub accounts: Accounts,
    /// What to do about what cannot be packed. Default: fail.
    pub unpackable: Unpackable,
    /// Threads that read and encode. Default: one for each processor.
    pub parallel: NonZeroUsize,
    /// When the blocks are said to have been stored, in seconds since 1970. Default: now.
    pub timestamp: u32,
    /// A folder for the temporary database. Default: that of the flist.
    pub scratch: Option<PathBuf>,
    /// Owners, modes and times that are taken instead of the file system's, which may not let them be set.
    /// Default: none.
    pub attributes: Option<Arc<Attributes>>,
}

/// What to do about files that cannot be packed: those that cannot be read, that change while
/// they are read, or whose names or link targets are not UTF-8 (the format's texts are).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unpackable {
    /// The first one is an error.
    #[default]
    Fail,
    /// Leave them out and name them in the report. A folder that cannot be read becomes an empty
    /// one.
    Skip,
}

impl Default for PackOptions {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            backend: None,
            metadata: Vec::new(),
            accounts: Accounts::default(),
            unpackable: Unpackable::Fail,
            parallel: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            timestamp: now
                .ok()
                .and_then(|now| u32::try_from(now.as_secs()).ok())
                .unwrap_or(0),
            scratch: None,
            attributes: None,
        }
    }
}

/// What was packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackReport {
    /// The flist's MD5.
    pub md5: Md5,
    /// The flist's bytes.
    pub size: u64,
    /// What was packed.
    #[serde(flatten)]
    pub tree: TreeCounts,
    /// References to blocks.
    pub block_references: u64,
    /// Blocks that the store did not have.
    pub new_blocks: u64,
    /// What was left out: sockets always, the rest as [`PackOptions::unpackable`] says.
    pub skipped: Skipped,
}

/// A folder could not be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A name or a link's target is not UTF-8.
    #[error("{} cannot be packed: its {what} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Its name, or its target.
        what: &'static str,
    },
    /// A file is not what it was a moment ago.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A chunk of a file could not be encoded.
    #[error("could not encode {}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EncodeError,
    },
    /// A folder has more in it than one entry of an flist takes.
    #[error("{} has too much in it for an flist", path.display())]
    TooLarge {
        /// The folder.
        path: PathBuf,
    },
    /// The store failed.
    #[error("could not store the blocks")]
    Store(#[source] StoreError),
    /// The flist could not be written.
    #[error("could not write the flist")]
    Flist(#[source] FlistError),
    /// The caller cancelled it.
    #[error("packing was cancelled")]
    Cancelled,
    /// A thread ended without saying why.
    #[error("a reading thread ended too early")]
    Interrupted,
}

impl PackError {
    fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// The path, where one file is at fault and the rest could go on without it.
    fn unpackable(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::NotUtf8 { path, .. } | Self::Changed { path } => {
                Some(path)
            }
            _ => None,
        }
    }
}

/// Makes an flist of the folder `source`: its blocks go to `store`, the flist to `output`.
///
/// Files are read and encoded in parallel, a chunk at a time: memory is bounded by the number of
/// threads and by what the flist's directories take, not by the size of a file. The blocks are
/// durable before `output` appears, whole and under its name at once.
///
/// The same tree makes the same bytes, wherever it is and whenever it is packed. So a few things
/// are not taken from the file system: the root's own owner, mode and time (it is root's, `0755`
/// and 0, as upstream writes), the size of folders (4,096), and the time that the format calls
/// creation, which nobody can set (it is the time of modification). Times are whole seconds
/// between 1970 and 2106; others become the nearest one.
///
/// Chunks, directory keys and ACL keys are those of upstream's writer. One thing is better: the
/// type of devices and pipes is written as it is, where upstream's writer calls all of them
/// sockets. Sockets themselves are left out, and so is
/// `output` where it is in the tree. Hard links become files of their own. Nothing keeps
/// the walk from going into other file systems that are mounted inside `source`.
///
/// # Errors
/// `source` cannot be read (see [`Unpackable`]), the store or the disk failed, or `cancel`. Blocks
/// that were stored by then stay; `output` is untouched.
pub fn pack(
    source: &Path,
    output: &Path,
    store: &dyn BlockStore,
    options: &PackOptions,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<PackReport, PackError> {
    let task = progress.started("packing", Unit::Bytes, None);
    let packed = pack_tree(
        source,
        output,
        store,
        options,
        &|bytes| {
            progress.advanced(task, bytes, bytes);
        },
        cancel,
    );
    let outcome = match &packed {
        Ok(report) if report.skipped.is_empty() => Outcome::Done,
        Ok(report) => Outcome::Partial(format!("{} left out", report.skipped.count)),
        Err(error) => Outcome::Failed(chain(error)),
    };
    progress.finished(task, &outcome);
    packed
}

fn pack_tree(
    source: &Path,
    output: &Path,
    store: &dyn BlockStore,
    options: &PackOptions,
    advanced: &(dyn Fn(u64) + Sync),
    cancel: &CancellationToken,
) -> Result<PackReport, PackError> {
    let folder = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let scratch = options.scratch.as_deref().unwrap_or(folder);
    let writer = Writer::new(output, scratch).map_err(PackError::Flist)?;

    let parallel = options.parallel.get().min(MAX_THREADS);
    let (jobs, queue) = sync_channel(parallel * read::QUEUED_PER_THREAD);
    let queue = Mutex::new(queue);
    let (replies, results) = channel();
    let (packer, new_blocks) = thread::scope(|scope| {
        let workers: Vec<_> = (0..parallel)
            .map(|_| {
                let worker = read::Worker::new(store, options.timestamp, replies.clone(), advanced);
                let queue = &queue;
                scope.spawn(move || worker.run(queue))
            })
            .collect();
        drop(replies);
        let mut packer =
            tree::Packer::new(source, output, &writer, options, (jobs, results), cancel)?;
        let walked = packer.run();
        // Closes the queue, so the workers store what they still have and end.
        let packed = packer.finish();
        let mut new_blocks = Ok(0);
        for worker in workers {
            match worker.join() {
                Ok(stored) => {
                    new_blocks = new_blocks.and_then(|sum| stored.map(|stored| sum + stored));
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        let new_blocks = new_blocks?;
        walked?;
        Ok((packed, new_blocks))
    })?;
    store.flush().map_err(PackError::Store)?;
    if cancel.is_cancelled() {
        return Err(PackError::Cancelled);
    }
    if let Some(backend) = &options.backend {
        writer
            .metadata(BACKEND, &backend.to_json())
            .map_err(PackError::Flist)?;
    }
    for (name, text) in &options.metadata {
        writer.metadata(name, text).map_err(PackError::Flist)?;
    }
    let written = writer.finish().map_err(PackError::Flist)?;
    Ok(PackReport {
        md5: written.md5,
        size: written.size,
        tree: packer.tree,
        block_references: packer.block_references,
        new_blocks,
        skipped: packer.skipped,
    })
}

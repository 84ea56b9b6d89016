//! Restoring the tree of an flist.

mod place;
mod write;

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use bcm_core::progress::{Outcome, Progress, Unit};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::place::{Attributes, Folder};
use self::write::{Job, OpenFile, Shared};
use super::accounts::Accounts;
use super::entry::{Inode, Kind};
use super::error::FlistError;
use super::reader::Flist;
use super::skipped::Skipped;
use super::summary::TreeCounts;
use super::tree::Step;
use crate::block::codec::CHUNK_SIZE;
use crate::store::{BlockStore, StoreError};
use bcm_core::cause::chain;

/// Jobs that wait for each thread.
const QUEUED_PER_THREAD: usize = 4;
/// More threads than this only wait for the disk, and each has files open.
const MAX_THREADS: usize = 64;

/// How to restore a tree.
#[derive(Debug, Clone)]
pub struct UnpackOptions {
    /// Whether owners are restored. Default: by root only.
    pub owners: Owners,
    /// Numbers for the names of owners, for flists from before these had numbers of their own.
    /// Default: none.
    pub accounts: Accounts,
    /// Threads that fetch, decode and write. Default: one for each processor.
    pub parallel: NonZeroUsize,
}

/// Whether owners are restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Owners {
    /// Where the process is root; otherwise everything belongs to whoever unpacks.
    #[default]
    IfRoot,
    /// Always; what cannot be given away is named in the report.
    Restore,
    /// Never.
    Ignore,
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            owners: Owners::default(),
            accounts: Accounts::default(),
            parallel: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UnpackReport {
    /// What was restored; of files, those that are whole.
    #[serde(flatten)]
    pub tree: TreeCounts,
    /// What is missing, or has not the owner, mode or time that it should, by its path in the
    /// flist. A file that is not whole is removed.
    pub failed: Skipped,
}

/// A tree could not be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
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
    /// The folder to unpack into has something in it.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The flist cannot be read.
    #[error("could not read the flist")]
    Flist(#[source] FlistError),
    /// The store failed. (A block that it does not have is no failure of the store; the file is
    /// named in the report.)
    #[error("could not read the blocks")]
    Store(#[source] StoreError),
    /// The caller cancelled it.
    #[error("unpacking was cancelled")]
    Cancelled,
}

impl UnpackError {
    fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

/// Restores the tree of `flist` in the folder `dest`, with blocks from `store`.
///
/// `dest` is created where it does not exist, and has to be empty where it does. It keeps its own
/// owner, mode and time, for upstream writes none for the root. All else gets what the flist says:
/// permission bits with set-user-id and the like, times of modification (of links and folders
/// too), and owners as [`UnpackOptions::owners`] says: by number, or by name where the flist has
/// no number. Devices need root; for anybody else they are named as failed.
///
/// The flist is read to its end before anything is written. Then files are restored in parallel,
/// some chunks at a time, every chunk checked against its hash. Nothing outside `dest` is written,
/// whatever the flist says: names are checked, every step goes through a folder's own handle, no
/// link is followed and no existing file is opened. Nothing is synced to disk.
///
/// # Errors
/// The flist is refused, `dest` cannot be written, the store failed, or `cancel`. What was
/// restored by then stays; it is not the whole tree.
pub fn unpack(
    flist: &Flist,
    store: &dyn BlockStore,
    dest: &Path,
    options: &UnpackOptions,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<UnpackReport, UnpackError> {
    let summary = flist.inspect().map_err(UnpackError::Flist)?;
    let root = open_empty(dest)?;
    let task = progress.started("unpacking", Unit::Bytes, Some(summary.tree.bytes));
    let shared = Shared::new(store, dest, cancel);
    let unpacking = Unpacking {
        flist,
        dest,
        options,
        owners: match options.owners {
            Owners::IfRoot => rustix::process::geteuid().is_root(),
            Owners::Restore => true,
            Owners::Ignore => false,
        },
        shared: &shared,
    };
    let unpacked = unpacking
        .contents(&root, options.parallel.get().min(MAX_THREADS), &|bytes| {
            progress.advanced(task, bytes, bytes);
        })
        .and_then(|report| unpacking.folders(root, report));
    let report = match (shared.into_result(), unpacked) {
        (Ok(failed), Ok(mut report)) => {
            report.tree.files = failed.files;
            report.tree.bytes = failed.bytes;
            report.failed = failed.failed;
            Ok(report)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    let outcome = match &report {
        Ok(report) if report.failed.is_empty() => Outcome::Done,
        Ok(report) => Outcome::Partial(format!("{} failed", report.failed.count)),
        Err(error) => Outcome::Failed(chain(error)),
    };
    progress.finished(task, &outcome);
    report
}

/// Opens the folder `dest`, which is created or empty.
fn open_empty(dest: &Path) -> Result<Folder, UnpackError> {
    fs::create_dir_all(dest).map_err(|e| UnpackError::io("create", dest, e))?;
    let mut names = fs::read_dir(dest).map_err(|e| UnpackError::io("read", dest, e))?;
    if names.next().is_some() {
        return Err(UnpackError::NotEmpty {
            path: dest.to_owned(),
        });
    }
    Folder::open(dest).map_err(|e| UnpackError::io("open", dest, e))
}

struct Unpacking<'a> {
    flist: &'a Flist,
    dest: &'a Path,
    options: &'a UnpackOptions,
    owners: bool,
    shared: &'a Shared<'a>,
}

impl Unpacking<'_> {
    /// Creates everything, with the attributes of all but the folders.
    fn contents(
        &self,
        root: &Folder,
        parallel: usize,
        advanced: &(dyn Fn(u64) + Sync),
    ) -> Result<UnpackReport, UnpackError> {
        let (jobs, queue) = sync_channel(parallel * QUEUED_PER_THREAD);
        let queue = Mutex::new(queue);
        thread::scope(|scope| {
            for _ in 0..parallel {
                scope.spawn(|| self.shared.work(&queue, advanced));
            }
            // Moved, so that the queue is closed when this is done.
            let jobs = jobs;
            self.create(root, &jobs)
        })
    }

    fn create(&self, root: &Folder, jobs: &SyncSender<Job>) -> Result<UnpackReport, UnpackError> {
        let mut report = UnpackReport::default();
        let mut folders = vec![root.clone()];
        for step in self.flist.walk() {
            // The threads know why.
            if self.shared.is_stopped() {
                break;
            }
            let (path, inode) = match step.map_err(UnpackError::Flist)? {
                Step::Entry { path, inode } => (path, inode),
                Step::Leave { .. } => {
                    folders.pop();
                    continue;
                }
            };
            let Some(folder) = folders.last() else { break };
            match &inode.kind {
                Kind::Directory(_) => {
                    let made = folder
                        .create_folder(&inode.name)
                        .map_err(|e| UnpackError::io("create", &self.outside(&path), e))?;
                    folders.push(made);
                    report.tree.directories += 1;
                }
                Kind::File(_) => {
                    let attributes = self.attributes(&inode, &path)?;
                    self.file(folder, &path, inode, attributes, jobs)?;
                }
                Kind::Link(target) => {
                    let attributes = self.attributes(&inode, &path)?;
                    let made = folder
                        .create_link(&inode.name, target)
                        .and_then(|()| folder.set_attributes(&inode.name, &attributes, true));
                    report.tree.links += u64::from(self.note(&path, "the link", made));
                }
                Kind::Special(special) => {
                    let attributes = self.attributes(&inode, &path)?;
                    let Some(device) = special.device(&inode.name) else {
                        self.shared
                            .failed(&path, "the flist does not say what kind of file it is");
                        continue;
                    };
                    let made = folder
                        .create_device(&inode.name, device)
                        .and_then(|()| folder.set_attributes(&inode.name, &attributes, false));
                    report.tree.specials += u64::from(self.note(&path, "the special file", made));
                }
            }
        }
        Ok(report)
    }

    /// Creates a file and hands its chunks to the threads.
    fn file(
        &self,
        folder: &Folder,
        path: &Path,
        inode: Inode,
        attributes: Attributes,
        jobs: &SyncSender<Job>,
    ) -> Result<(), UnpackError> {
        let Kind::File(chunks) = inode.kind else {
            return Ok(());
        };
        if chunks.len() as u64 != inode.size.div_ceil(CHUNK_SIZE as u64) {
            self.shared.failed(
                path,
                format!(
                    "its {} bytes are not in {} chunks",
                    inode.size,
                    chunks.len()
                ),
            );
            return Ok(());
        }
        let file = folder
            .create_file(&inode.name)
            .map_err(|e| UnpackError::io("create", &self.outside(path), e))?;
        let file = Arc::new(OpenFile::new(
            file,
            folder.clone(),
            inode.name,
            path.to_owned(),
            inode.size,
            attributes,
            chunks.len(),
        ));
        if chunks.is_empty() {
            self.shared.complete(&file);
        }
        for job in Job::split(&file, chunks) {
            // The threads go on receiving until the queue is closed, so this can only fail when
            // one of them panicked, which the scope passes on.
            if jobs.send(job).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Sets the attributes of all folders, each after what is in it: its time would change again
    /// and its mode might forbid the work.
    fn folders(&self, root: Folder, report: UnpackReport) -> Result<UnpackReport, UnpackError> {
        if self.shared.is_stopped() {
            return Ok(report);
        }
        let mut folders = vec![root];
        for step in self.flist.walk() {
            match step.map_err(UnpackError::Flist)? {
                Step::Entry { path, inode } => {
                    if let (Kind::Directory(_), Some(parent)) = (&inode.kind, folders.last()) {
                        let folder = parent
                            .open_folder(&inode.name)
                            .map_err(|e| UnpackError::io("open", &self.outside(&path), e))?;
                        folders.push(folder);
                    }
                }
                Step::Leave { path, inode } => {
                    let attributes = self.attributes(&inode, &path)?;
                    if let Some(folder) = folders.pop() {
                        self.note(&path, "the folder", folder.set_own_attributes(&attributes));
                    }
                }
            }
        }
        Ok(report)
    }

    fn attributes(&self, inode: &Inode, path: &Path) -> Result<Attributes, UnpackError> {
        let acl = self.flist.acl(inode, path).map_err(UnpackError::Flist)?;
        let mut attributes = Attributes {
            owner: None,
            group: None,
            mode: acl.mode & 0o7777,
            modified: inode.modified,
        };
        if self.owners {
            let accounts = &self.options.accounts;
            let number = |number: i64| u32::try_from(number).ok().filter(|n| *n != u32::MAX);
            attributes.owner = number(acl.uid).or_else(|| accounts.uid(&acl.user));
            attributes.group = number(acl.gid).or_else(|| accounts.gid(&acl.group));
            if attributes.owner.is_none() || attributes.group.is_none() {
                let reason = format!(
                    "nobody here is called {}:{}, its owner and group",
                    acl.user, acl.group
                );
                self.shared.failed(path, reason);
            }
        }
        Ok(attributes)
    }

    /// Notes a failure that is one file's alone, and says whether there was none.
    fn note(&self, path: &Path, what: &str, result: io::Result<()>) -> bool {
        if let Err(error) = &result {
            self.shared.failed(path, format!("{what}: {error}"));
        }
        result.is_ok()
    }

    /// Where a path of the flist is on this machine.
    fn outside(&self, path: &Path) -> PathBuf {
        self.dest.join(path.strip_prefix("/").unwrap_or(path))
    }
}

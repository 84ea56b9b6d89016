//! Walks the folder, hands its files to the reading threads, and writes each directory's entry
//! when its files are done.

mod inode;

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use tokio_util::sync::CancellationToken;

use super::read::{self, Job, Reply, Stamp};
use super::{PackError, PackOptions, Unpackable};
use crate::block::BlockKey;
use crate::block::codec::{CHUNK_SIZE, ChunkKey, ChunkRef};
use crate::flist::entry::{Acl, DIRECTORY_SIZE, Directory, DirectoryKey, Kind};
use crate::flist::message;
use crate::flist::skipped::Skipped;
use crate::flist::summary::TreeCounts;
use crate::flist::writer::Writer;
use bcm_core::cause::chain;

/// Names in directories that wait for their files to be read. Enough to keep the threads busy
/// across many small directories.
const MAX_PENDING_NAMES: usize = 50_000;

/// What is in a chunk's place until it was read.
const UNREAD: ChunkRef = ChunkRef {
    hash: BlockKey::Short([0; 16]),
    key: ChunkKey([0; 16]),
};

pub(super) struct Packer<'a> {
    source: &'a Path,
    writer: &'a Writer,
    options: &'a PackOptions,
    jobs: SyncSender<Job>,
    results: Receiver<Reply>,
    cancel: &'a CancellationToken,
    /// Device and inode of files that packing itself writes.
    own_files: Vec<(u64, u64)>,
    /// Directories in the order in which their entries are written.
    pending: VecDeque<Pending>,
    pending_names: usize,
    next_file: u64,
    acl_keys: HashMap<(u32, u32, u32), String>,
    packed: Packed,
}

/// Totals.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) tree: TreeCounts,
    pub(super) block_references: u64,
    pub(super) skipped: Skipped,
}

/// A directory whose files are being read.
struct Pending {
    path: PathBuf,
    directory: Directory,
    /// The number of its first file; the others follow.
    first_file: u64,
    files: Vec<PendingFile>,
    /// Chunks that are not read yet.
    left: usize,
}

struct PendingFile {
    /// Its place in the directory.
    place: usize,
    failed: Option<PackError>,
}

/// A directory that is still to be read: its path in the flist and its inode.
struct Todo {
    location: PathBuf,
    parent: String,
    name: OsString,
    acl_key: String,
    modified: u32,
}

impl<'a> Packer<'a> {
    pub(super) fn new(
        source: &'a Path,
        output: &Path,
        writer: &'a Writer,
        options: &'a PackOptions,
        (jobs, results): (SyncSender<Job>, Receiver<Reply>),
        cancel: &'a CancellationToken,
    ) -> Result<Self, PackError> {
        let metadata = fs::metadata(source).map_err(|e| PackError::io("look at", source, e))?;
        if !metadata.is_dir() {
            return Err(PackError::io(
                "pack",
                source,
                std::io::ErrorKind::NotADirectory.into(),
            ));
        }
        let own_files = [output, writer.database_path()]
            .into_iter()
            .filter_map(|path| fs::symlink_metadata(path).ok())
            .map(|metadata| (metadata.dev(), metadata.ino()))
            .collect();
        Ok(Self {
            source,
            writer,
            options,
            jobs,
            results,
            cancel,
            own_files,
            pending: VecDeque::new(),
            pending_names: 0,
            next_file: 0,
            acl_keys: HashMap::new(),
            packed: Packed::default(),
        })
    }

    /// Packs all.
    pub(super) fn run(&mut self) -> Result<(), PackError> {
        let root_acl = Acl::root(0o755);
        let acl_key = root_acl.key();
        self.write_acl((0, 0, 0o755), &root_acl)?;
        // Depth first, which keeps the list of what is left to do short.
        let mut todo = vec![Todo {
            location: PathBuf::new(),
            parent: DirectoryKey::of(b"").to_string(),
            name: OsString::new(),
            acl_key,
            modified: 0,
        }];
        while let Some(next) = todo.pop() {
            if self.cancel.is_cancelled() {
                return Err(PackError::Cancelled);
            }
            let first = todo.len();
            self.directory(next, &mut todo)?;
            todo[first..].reverse();
            while self.pending_names > MAX_PENDING_NAMES && !self.pending.is_empty() {
                self.write_front()?;
            }
        }
        while !self.pending.is_empty() {
            self.write_front()?;
        }
        Ok(())
    }

    /// Closes the queue and gives the totals.
    pub(super) fn finish(self) -> Packed {
        self.packed
    }

    /// Reads one directory, queues its files and puts its subdirectories on the list.
    fn directory(&mut self, todo: Todo, list: &mut Vec<Todo>) -> Result<(), PackError> {
        let path = self.source.join(&todo.location);
        let key = DirectoryKey::of(todo.location.as_os_str().as_bytes()).to_string();
        let mut pending = Pending {
            directory: Directory {
                name: todo.name,
                location: todo.location.clone().into_os_string(),
                contents: Vec::new(),
                parent: todo.parent,
                size: DIRECTORY_SIZE,
                acl_key: todo.acl_key,
                modified: todo.modified,
                created: todo.modified,
            },
            path,
            first_file: self.next_file,
            files: Vec::new(),
            left: 0,
        };
        let mut jobs = Vec::new();
        for (name, metadata) in self.names(&pending.path)? {
            let child = pending.path.join(&name);
            let inode = match self.inode(&child, &todo.location, name, &metadata) {
                Ok(Some(inode)) => inode,
                Ok(None) => continue,
                Err(error) => {
                    self.leave_out(error)?;
                    continue;
                }
            };
            match &inode.kind {
                Kind::Directory(_) => list.push(Todo {
                    location: todo.location.join(&inode.name),
                    parent: key.clone(),
                    name: inode.name.clone(),
                    acl_key: inode.acl_key.clone(),
                    modified: inode.modified,
                }),
                Kind::File(chunks) => {
                    pending.left += chunks.len();
                    pending.files.push(PendingFile {
                        place: pending.directory.contents.len(),
                        failed: None,
                    });
                    jobs.push((child, Stamp::of(&metadata)));
                }
                Kind::Link(_) | Kind::Special(_) => {}
            }
            pending.directory.contents.push(inode);
        }
        self.next_file += jobs.len() as u64;
        self.pending_names += pending.directory.contents.len();
        let first_file = pending.first_file;
        self.pending.push_back(pending);
        for (file, (path, stamp)) in (first_file..).zip(jobs) {
            self.submit(file, path, stamp)?;
        }
        Ok(())
    }

    /// Queues the chunks of a file, taking in results while the queue is full.
    fn submit(&mut self, file: u64, path: PathBuf, stamp: Stamp) -> Result<(), PackError> {
        let chunks = stamp.size.div_ceil(CHUNK_SIZE as u64) as usize;
        let mut open = None;
        if chunks > 1 {
            match read::open(&path, &stamp) {
                Ok(opened) => open = Some(Arc::new(opened)),
                Err(error) => {
                    self.file_failed(file, error, chunks);
                    return Ok(());
                }
            }
        }
        let path = Arc::new(path);
        for chunk in 0..chunks {
            let mut job = Job {
                file,
                chunk,
                path: Arc::clone(&path),
                open: open.clone(),
                stamp,
            };
            loop {
                match self.jobs.try_send(job) {
                    Ok(()) => break,
                    Err(TrySendError::Full(back)) => job = back,
                    Err(TrySendError::Disconnected(_)) => return Err(PackError::Interrupted),
                }
                self.wait()?;
            }
        }
        Ok(())
    }

    /// Waits for one result.
    fn wait(&mut self) -> Result<(), PackError> {
        if self.cancel.is_cancelled() {
            return Err(PackError::Cancelled);
        }
        match self.results.recv() {
            Ok(Reply::Chunk {
                file,
                chunk,
                result,
            }) => {
                match result {
                    Ok(read) => {
                        if let Some((pending, at)) = self.pending_file(file) {
                            let place = pending.files[at].place;
                            let inode = &mut pending.directory.contents[place];
                            if let Kind::File(chunks) = &mut inode.kind {
                                chunks[chunk] = read;
                            }
                            pending.left -= 1;
                        }
                    }
                    Err(error) => self.file_failed(file, error, 1),
                }
                Ok(())
            }
            Ok(Reply::Failed) | Err(_) => Err(PackError::Interrupted),
        }
    }

    fn file_failed(&mut self, file: u64, error: PackError, chunks: usize) {
        if let Some((pending, at)) = self.pending_file(file) {
            pending.left -= chunks;
            pending.files[at].failed.get_or_insert(error);
        }
    }

    /// The directory of a file and its place among the directory's files.
    fn pending_file(&mut self, file: u64) -> Option<(&mut Pending, usize)> {
        let after = self
            .pending
            .partition_point(|pending| pending.first_file <= file);
        // Directories without files have the number of the next one, so the last one counts.
        let pending = self.pending.get_mut(after.checked_sub(1)?)?;
        let at = usize::try_from(file - pending.first_file).ok()?;
        Some((pending, at))
    }

    /// Waits for the files of the first directory and writes its entry.
    fn write_front(&mut self) -> Result<(), PackError> {
        while self.pending.front().is_some_and(|front| front.left > 0) {
            self.wait()?;
        }
        let Some(mut front) = self.pending.pop_front() else {
            return Ok(());
        };
        self.pending_names -= front.directory.contents.len();
        // From the end, so that the places of the others stay right.
        for file in front.files.into_iter().rev() {
            match file.failed {
                Some(error) => {
                    self.leave_out(error)?;
                    front.directory.contents.remove(file.place);
                }
                None => {
                    let inode = &front.directory.contents[file.place];
                    if let Kind::File(chunks) = &inode.kind {
                        self.packed.tree.files += 1;
                        self.packed.tree.bytes += inode.size;
                        self.packed.block_references += chunks.len() as u64;
                    }
                }
            }
        }
        let location = front.directory.location.as_bytes();
        let key = DirectoryKey::of(location).to_string();
        let bytes =
            message::write_directory(&front.directory).map_err(|_| PackError::TooLarge {
                path: front.path.clone(),
            })?;
        self.writer.entry(&key, &bytes).map_err(PackError::Flist)
    }

    /// Fails, or notes what is left out, as the caller wants it.
    fn leave_out(&mut self, error: PackError) -> Result<(), PackError> {
        match (self.options.unpackable, error.unpackable()) {
            (Unpackable::Skip, Some(path)) => {
                self.packed.skipped.add(path, chain(&error));
                Ok(())
            }
            _ => Err(error),
        }
    }
}

//! The threads that read files and make blocks of them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use super::PackError;
use crate::block::codec::{self, CHUNK_SIZE, ChunkRef};
use crate::store::{BlockStore, VerifiedBlock};

/// Chunks that wait for each thread.
pub(super) const QUEUED_PER_THREAD: usize = 16;
/// Bytes of blocks that a thread collects before it stores them.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Blocks that a thread collects before it stores them.
const BATCH_BLOCKS: usize = 512;

/// What tells a file from what it becomes when somebody changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// One chunk to read and encode.
pub(super) struct Job {
    /// The number of its file.
    pub(super) file: u64,
    /// Its place in the file.
    pub(super) chunk: usize,
    pub(super) path: Arc<PathBuf>,
    /// The file, where several chunks share it; otherwise the thread opens it.
    pub(super) open: Option<Arc<File>>,
    pub(super) stamp: Stamp,
}

/// What became of a chunk.
pub(super) enum Reply {
    Chunk {
        file: u64,
        chunk: usize,
        result: Result<ChunkRef, PackError>,
    },
    /// A thread cannot go on; what it returns says why.
    Failed,
}

/// Opens a file to be packed: no link, and nothing that blocks.
pub(super) fn open(path: &Path, stamp: &Stamp) -> Result<File, PackError> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|e| PackError::io("open", path, e))?;
    check_unchanged(&file, path, stamp)?;
    Ok(file)
}

fn check_unchanged(file: &File, path: &Path, stamp: &Stamp) -> Result<(), PackError> {
    let now = file
        .metadata()
        .map_err(|e| PackError::io("look at", path, e))?;
    if Stamp::of(&now) == *stamp {
        Ok(())
    } else {
        Err(PackError::Changed {
            path: path.to_owned(),
        })
    }
}

pub(super) struct Worker<'a> {
    store: &'a dyn BlockStore,
    timestamp: u32,
    replies: Sender<Reply>,
    advanced: &'a (dyn Fn(u64) + Sync),
    batch: Vec<VerifiedBlock>,
    batch_bytes: usize,
    new_blocks: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        store: &'a dyn BlockStore,
        timestamp: u32,
        replies: Sender<Reply>,
        advanced: &'a (dyn Fn(u64) + Sync),
    ) -> Self {
        Self {
            store,
            timestamp,
            replies,
            advanced,
            batch: Vec::new(),
            batch_bytes: 0,
            new_blocks: 0,
        }
    }

    /// Works until the queue is closed and returns how many blocks were new to the store. The
    /// store takes a batch while the thread waits, so a slow store slows down the reading.
    pub(super) fn run(mut self, queue: &Mutex<Receiver<Job>>) -> Result<u64, PackError> {
        let mut buffer = vec![0; CHUNK_SIZE];
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { break };
            let result = self.chunk(&job, &mut buffer);
            let reply = Reply::Chunk {
                file: job.file,
                chunk: job.chunk,
                result,
            };
            if self.replies.send(reply).is_err() {
                // Nobody waits any more: packing failed elsewhere.
                return Ok(self.new_blocks);
            }
            let full = self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_BLOCKS;
            if full && let Err(error) = self.store_batch() {
                // Wakes up whoever waits; the error itself is found when the thread is joined.
                let _ = self.replies.send(Reply::Failed);
                return Err(error);
            }
        }
        self.store_batch()?;
        Ok(self.new_blocks)
    }

    fn chunk(&mut self, job: &Job, buffer: &mut [u8]) -> Result<ChunkRef, PackError> {
        let path = job.path.as_path();
        let opened;
        let file = match &job.open {
            Some(file) => file.as_ref(),
            None => {
                opened = open(path, &job.stamp)?;
                &opened
            }
        };
        let offset = job.chunk as u64 * CHUNK_SIZE as u64;
        // At most CHUNK_SIZE, which fits.
        let size = (job.stamp.size - offset).min(CHUNK_SIZE as u64) as usize;
        let plain = &mut buffer[..size];
        file.read_exact_at(plain, offset).map_err(|e| {
            if e.kind() == io::ErrorKind::UnexpectedEof {
                PackError::Changed {
                    path: path.to_owned(),
                }
            } else {
                PackError::io("read", path, e)
            }
        })?;
        check_unchanged(file, path, &job.stamp)?;
        let (chunk, block) =
            codec::encode(plain, self.timestamp).map_err(|source| PackError::Encode {
                path: path.to_owned(),
                source,
            })?;
        self.batch_bytes += block.payload().len();
        self.batch.push(block);
        (self.advanced)(size as u64);
        Ok(chunk)
    }

    fn store_batch(&mut self) -> Result<(), PackError> {
        if !self.batch.is_empty() {
            self.new_blocks += self.store.put(&self.batch).map_err(PackError::Store)?;
            self.batch.clear();
            self.batch_bytes = 0;
        }
        Ok(())
    }
}

//! The threads that fetch blocks and write files.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::UnpackError;
use super::place::{Attributes, Folder};
use crate::block::codec::{self, CHUNK_SIZE, ChunkRef};
use crate::flist::skipped::Skipped;
use crate::store::BlockStore;
use bcm_core::cause::chain;

/// Chunks of one job: 4 MiB, so that several threads share a large file.
const CHUNKS_PER_JOB: usize = 8;

/// A file that is being written.
pub(super) struct OpenFile {
    file: File,
    folder: Folder,
    name: OsString,
    /// Its path in the flist.
    path: PathBuf,
    size: u64,
    attributes: Attributes,
    /// Chunks that are not written yet.
    left: AtomicUsize,
    failed: AtomicBool,
}

impl OpenFile {
    pub(super) fn new(
        file: File,
        folder: Folder,
        name: OsString,
        path: PathBuf,
        size: u64,
        attributes: Attributes,
        chunks: usize,
    ) -> Self {
        Self {
            file,
            folder,
            name,
            path,
            size,
            attributes,
            left: AtomicUsize::new(chunks),
            failed: AtomicBool::new(false),
        }
    }
}

/// Some chunks of a file, in a row.
pub(super) struct Job {
    file: Arc<OpenFile>,
    first: usize,
    chunks: Vec<ChunkRef>,
}

impl Job {
    pub(super) fn split(file: &Arc<OpenFile>, chunks: Vec<ChunkRef>) -> impl Iterator<Item = Self> {
        let starts = (0..chunks.len()).step_by(CHUNKS_PER_JOB);
        starts.map(move |first| Self {
            file: Arc::clone(file),
            first,
            chunks: chunks[first..chunks.len().min(first + CHUNKS_PER_JOB)].to_vec(),
        })
    }
}

/// What all threads share.
pub(super) struct Shared<'a> {
    store: &'a dyn BlockStore,
    dest: &'a Path,
    cancel: &'a CancellationToken,
    stopped: AtomicBool,
    done: Mutex<Done>,
}

/// What the threads did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) failed: Skipped,
    /// Why everything stopped.
    error: Option<UnpackError>,
}

/// One chunk could not be written.
enum Problem {
    /// The file is lost, the rest goes on.
    File(String),
    /// Nothing can go on.
    All(UnpackError),
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        store: &'a dyn BlockStore,
        dest: &'a Path,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self {
            store,
            dest,
            cancel,
            stopped: AtomicBool::new(false),
            done: Mutex::default(),
        }
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopped(&self) -> bool {
        if self.cancel.is_cancelled() {
            self.stop(UnpackError::Cancelled);
        }
        self.stopped.load(Ordering::Relaxed)
    }

    fn stop(&self, error: UnpackError) {
        self.done().error.get_or_insert(error);
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, path: &Path, reason: impl Into<String>) {
        self.done().failed.add(path, reason);
    }

    pub(super) fn into_result(self) -> Result<Done, UnpackError> {
        let mut done = self
            .done
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match done.error.take() {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    /// Works until the queue is closed. After something stopped everything it only empties the
    /// queue, so that nobody waits for room in it.
    pub(super) fn work(&self, queue: &Mutex<Receiver<Job>>, advanced: &(dyn Fn(u64) + Sync)) {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let file = &job.file;
            for (index, chunk) in (job.first..).zip(&job.chunks) {
                if !self.is_stopped() && !file.failed.load(Ordering::Relaxed) {
                    match self.chunk(file, index, chunk) {
                        Ok(bytes) => advanced(bytes),
                        Err(Problem::All(error)) => self.stop(error),
                        Err(Problem::File(reason)) => {
                            if !file.failed.swap(true, Ordering::Relaxed) {
                                self.failed(&file.path, reason);
                            }
                        }
                    }
                }
                // The last one sees what all others did.
                if file.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.complete(file);
                }
            }
        }
    }

    /// Writes one chunk.
    fn chunk(&self, file: &OpenFile, index: usize, chunk: &ChunkRef) -> Result<u64, Problem> {
        let stored = self.store.get(&chunk.hash);
        let Some((_, payload)) = stored.map_err(|e| Problem::All(UnpackError::Store(e)))? else {
            let reason = format!("block {} is not in the store", chunk.hash);
            return Err(Problem::File(reason));
        };
        let plain = codec::decode(chunk, &payload).map_err(|error| Problem::File(chain(&error)))?;
        let offset = index as u64 * CHUNK_SIZE as u64;
        let expected = (file.size - offset).min(CHUNK_SIZE as u64);
        if plain.len() as u64 != expected {
            return Err(Problem::File(format!(
                "block {} has {} bytes of it, not {expected}",
                chunk.hash,
                plain.len()
            )));
        }
        file.file.write_all_at(&plain, offset).map_err(|e| {
            let path = file.path.strip_prefix("/").unwrap_or(&file.path);
            Problem::All(UnpackError::io("write", &self.dest.join(path), e))
        })?;
        Ok(expected)
    }

    /// Gives a whole file its attributes, and removes one that is not whole.
    pub(super) fn complete(&self, file: &OpenFile) {
        if file.failed.load(Ordering::Relaxed) || self.is_stopped() {
            if let Err(error) = file.folder.remove_file(&file.name) {
                self.failed(
                    &file.path,
                    format!("what there is of it could not be removed: {error}"),
                );
            }
            return;
        }
        if let Err(error) = file.attributes.set(&file.file) {
            self.failed(
                &file.path,
                format!("its owner, mode or time could not be set: {error}"),
            );
        }
        let mut done = self.done();
        done.files += 1;
        done.bytes += file.size;
    }
}

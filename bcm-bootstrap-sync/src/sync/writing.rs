//! Writes and hashes what comes on a thread of its own, so that receiving goes on meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bcm_core::digest::{Sha256, Sha256Hasher};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Pieces that wait for the disk. One is what a read of a socket gives, some 400 kB at most.
const WAITING: usize = 16;

/// A file that grows.
pub(super) struct Writing {
    pieces: mpsc::Sender<Bytes>,
    thread: JoinHandle<io::Result<Written>>,
}

/// A file with all its pieces; not yet synced to the disk.
pub(super) struct Written {
    pub(super) file: File,
    pub(super) sha256: Sha256,
}

impl Writing {
    /// Goes on with `file`, of which there are `have` bytes that `hasher` has seen.
    ///
    /// When this is dropped, pieces that wait are still written. They are at their own place, so they
    /// do no harm to whoever goes on with the same version of the file in the meantime.
    pub(super) fn start(file: File, mut hasher: Sha256Hasher, have: u64) -> Self {
        let (pieces, mut waiting) = mpsc::channel::<Bytes>(WAITING);
        let mut at = have;
        let thread = spawn_blocking(move || {
            while let Some(piece) = waiting.blocking_recv() {
                file.write_all_at(&piece, at)?;
                hasher.update(&piece);
                at += piece.len() as u64;
            }
            Ok(Written {
                file,
                sha256: hasher.finish(),
            })
        });
        Self { pieces, thread }
    }

    /// Whether it was taken. Where it was not, [`finish`](Self::finish) says why.
    pub(super) async fn write(&self, piece: Bytes) -> bool {
        self.pieces.send(piece).await.is_ok()
    }

    /// Waits until every piece is written.
    pub(super) async fn finish(self) -> Result<io::Result<Written>, JoinError> {
        drop(self.pieces);
        self.thread.await
    }
}

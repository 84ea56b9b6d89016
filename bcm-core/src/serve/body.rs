//! The bodies of answers: bytes in memory, or a part of a file in pieces.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::guard::Answering;
use crate::file_identity::FileIdentity;

/// How much of a file is in memory for each download.
const PIECE: u64 = 128 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// Part of a file, read as it is sent.
    File(FilePart),
    /// Bytes that are put together as they are sent.
    Pieces(Pieces),
}

/// Bytes in pieces, and how many are left.
pub struct Pieces {
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
    left: u64,
}

impl Pieces {
    /// The bytes of `pieces`, which are `length` together. Making a piece must be quick.
    #[must_use]
    pub fn new(length: u64, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            pieces: Box::new(pieces),
            left: length,
        }
    }

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.left == 0 {
            return None;
        }
        let piece = self.pieces.next().filter(|p| p.len() as u64 <= self.left);
        let piece = piece.ok_or_else(|| io::Error::other("the pieces do not have their length"));
        self.left = piece
            .as_ref()
            .map_or(0, |piece| self.left - piece.len() as u64);
        Some(piece)
    }
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pieces({} bytes left)", self.left)
    }
}

impl Content {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// Some bytes of a file that must not change while they are sent.
#[derive(Debug)]
pub struct FilePart {
    file: Arc<File>,
    identity: FileIdentity,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FilePart {
    /// The bytes from `first` up to, not including, `end`.
    #[must_use]
    pub fn new(file: Arc<File>, identity: FileIdentity, first: u64, end: u64) -> Self {
        Self {
            file,
            identity,
            next: first,
            end,
            reading: None,
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        let (first, end) = (self.next, self.end.min(self.next + PIECE));
        let reading = self.reading.get_or_insert_with(|| {
            let (file, identity) = (Arc::clone(&self.file), self.identity);
            tokio::task::spawn_blocking(move || read_piece(&file, &identity, first, end))
        });
        let piece = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|e| Err(io::Error::other(e)));
        self.reading = None;
        // After an error nothing more comes, and the connection is cut short of what was promised.
        self.next = if piece.is_ok() { end } else { self.end };
        Poll::Ready(Some(piece))
    }
}

/// Reads a piece, and makes sure that it belongs to the content that was promised: a file that was
/// written to in place breaks the download off. (One that was replaced by a rename does not: the
/// open file is still the old one, only its time of change moved.) Blocks.
fn read_piece(file: &File, promised: &FileIdentity, first: u64, end: u64) -> io::Result<Bytes> {
    let length = usize::try_from(end - first).map_err(io::Error::other)?;
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, first)?;
    let now = FileIdentity::of_file(file)?;
    if (now.size, now.modified) != (promised.size, promised.modified) {
        return Err(io::Error::other("the file was changed while it was sent"));
    }
    Ok(buffer.into())
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::File(part) => part
                .poll_piece(cx)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
            Self::Pieces(pieces) => Poll::Ready(pieces.next().map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::File(part) => part.next >= part.end,
            Self::Pieces(pieces) => pieces.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(part) => part.end.saturating_sub(part.next),
            Self::Pieces(pieces) => pieces.left,
        })
    }
}

/// The body of an answer whose end is counted.
#[derive(Debug)]
pub(super) struct Tracked {
    content: Content,
    _answering: Answering,
}

impl Tracked {
    pub(super) fn new(content: Content, answering: Answering) -> Self {
        Self {
            content,
            _answering: answering,
        }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.content).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

//! The bytes of a medium, put together when they are sent.

use std::io::{self, Write};

use bytes::Bytes;

/// How many zeros are handed out at a time.
const ZEROS: &[u8] = &[0; 64 << 10];

/// A medium's bytes: pieces that are shared with every other medium of the same iPXE, pieces that were
/// made for this one, and zeros that take no memory. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pieces: Vec<Piece>,
    len: u64,
}

#[derive(Debug, Clone)]
enum Piece {
    Bytes(Bytes),
    Zeros(u64),
}

impl Content {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.len += bytes.len() as u64;
        if !bytes.is_empty() {
            self.pieces.push(Piece::Bytes(bytes));
        }
    }

    /// Appends all of `other`.
    pub(crate) fn append(&mut self, other: Self) {
        self.len += other.len;
        self.pieces.extend(other.pieces);
    }

    /// Appends zeros until the length is `len`; does nothing where it is already longer.
    pub(crate) fn pad_to(&mut self, len: u64) {
        if let Some(zeros) = len.checked_sub(self.len).filter(|zeros| *zeros > 0) {
            self.pieces.push(Piece::Zeros(zeros));
            self.len = len;
        }
    }

    /// Appends zeros until the length is a multiple of `unit`.
    pub(crate) fn align(&mut self, unit: u64) {
        self.pad_to(self.len.next_multiple_of(unit));
    }

    /// The bytes from `start` to before `end`, in order, in pieces of any length. Both are cut to the
    /// length; nothing is copied.
    pub fn range(&self, start: u64, end: u64) -> impl Iterator<Item = Bytes> + Send + 'static {
        let mut offset = 0;
        let pieces: Vec<Piece> = self
            .pieces
            .iter()
            .filter_map(|piece| {
                let len = piece.len();
                let from = start.saturating_sub(offset).min(len);
                let to = end.saturating_sub(offset).min(len);
                offset += len;
                (from < to).then(|| piece.cut(from, to))
            })
            .collect();
        pieces.into_iter().flat_map(Piece::chunks)
    }

    /// All bytes, as [`range`](Self::range) has them.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + Send + 'static {
        self.range(0, self.len)
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// Those of `writer`.
    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        self.chunks().try_for_each(|chunk| writer.write_all(&chunk))
    }

    /// All bytes in one piece of memory.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.len).unwrap_or(0));
        for chunk in self.chunks() {
            bytes.extend_from_slice(&chunk);
        }
        bytes
    }
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(len) => *len,
        }
    }

    /// `from` and `to` are within the piece, so they are within `usize` where it is bytes.
    #[allow(clippy::cast_possible_truncation, reason = "within the slice's length")]
    fn cut(&self, from: u64, to: u64) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.slice(from as usize..to as usize)),
            Self::Zeros(_) => Self::Zeros(to - from),
        }
    }

    fn chunks(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let (whole, rest, bytes) = match self {
            Self::Bytes(bytes) => (0, 0, Some(bytes)),
            Self::Zeros(len) => (
                len / ZEROS.len() as u64,
                usize::try_from(len % ZEROS.len() as u64).unwrap_or(0),
                None,
            ),
        };
        let zeros = (0..whole).map(|_| Bytes::from_static(ZEROS));
        let rest = (rest > 0).then(|| Bytes::from_static(&ZEROS[..rest]));
        bytes.into_iter().chain(zeros).chain(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Content {
        let mut content = Content::new();
        content.push(&b"abc"[..]);
        content.align(8);
        content.push(&b"defg"[..]);
        content.pad_to(200_000);
        content.push(&b"h"[..]);
        content
    }

    #[test]
    fn any_range_is_what_the_whole_has_there() {
        let content = sample();
        let whole = content.to_vec();
        assert_eq!(whole.len() as u64, content.len());
        assert_eq!(&whole[..13], b"abc\0\0\0\0\0defg\0");
        for (start, end) in [(0, 0), (0, 3), (2, 9), (7, 12), (11, 150_000), (5, 900_000)] {
            let part: Vec<u8> = content.range(start, end).flatten().collect();
            let end = usize::try_from(end).unwrap().min(whole.len());
            assert_eq!(
                part,
                whole[usize::try_from(start).unwrap()..end],
                "{start}..{end}"
            );
        }
        assert_eq!(content.range(300_000, 400_000).count(), 0);
        assert_eq!(content.range(9, 4).count(), 0);
    }

    #[test]
    fn padding_never_shortens() {
        let mut content = sample();
        let len = content.len();
        content.pad_to(3);
        assert_eq!(content.len(), len);
    }
}

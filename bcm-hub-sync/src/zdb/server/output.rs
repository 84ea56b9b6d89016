//! Answers on their way to a client: small ones are gathered, payloads are not copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::zdb::resp::write_bulk_header;

/// Payloads below this many bytes are cheaper to copy than to send from where they are.
const COPIED: usize = 2048;

/// How many pieces one system call is given.
const PIECES: usize = 64;

/// What is to be sent.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Bytes>,
    /// What comes after `pieces`.
    tail: BytesMut,
    /// Bytes in `pieces`.
    length: usize,
}

impl Output {
    /// Where small answers are written.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Adds a bulk string.
    pub(super) fn bulk(&mut self, payload: Bytes) {
        write_bulk_header(&mut self.tail, payload.len());
        if payload.len() < COPIED {
            self.tail.extend_from_slice(&payload);
        } else {
            self.seal();
            self.length += payload.len();
            self.pieces.push_back(payload);
        }
        self.tail.extend_from_slice(b"\r\n");
    }

    /// How many bytes there are to send.
    pub(super) fn len(&self) -> usize {
        self.length + self.tail.len()
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let piece = self.tail.split().freeze();
            self.length += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Sends all of it; returns how many bytes that were. `idle` is how long the client may take
    /// nothing.
    pub(super) async fn send(&mut self, stream: &mut TcpStream, idle: Duration) -> io::Result<u64> {
        self.seal();
        let sent = self.length as u64;
        let started = Instant::now();
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let left = idle.min((idle * 10).saturating_sub(started.elapsed()));
            let written = tokio::time::timeout(left, stream.write_vectored(&slices[..count]))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.consume(written);
        }
        Ok(sent)
    }

    fn consume(&mut self, mut written: usize) {
        self.length -= written;
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
    }
}

//! Requests, as a server reads them.

use bytes::{Buf, BytesMut};

use super::{RespError, parse_number, take_line};
use crate::store::MAX_PAYLOAD;
use crate::zdb::MAX_ARGUMENTS;

/// How many bytes of an argument are kept. No argument that means anything to a server without
/// a write path is longer; of a longer one only its length matters.
const KEPT: usize = 256;

/// How much of a request is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// How many arguments, the command's name included. Default 1,024.
    pub arguments: usize,
    /// The longest argument, in bytes. Default 8 MiB. Arguments are not kept in memory: a client
    /// that tries to write a whole block is read to its end, to be told that it cannot.
    pub argument: usize,
    /// The longest request as a whole, in bytes. Default 9 MiB.
    pub frame: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            arguments: MAX_ARGUMENTS,
            argument: MAX_PAYLOAD,
            frame: MAX_PAYLOAD + 1024 * 1024,
        }
    }
}

/// One argument of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument<'a> {
    /// Its bytes; of an argument longer than 256 bytes the first 256.
    pub bytes: &'a [u8],
    /// How long it is.
    pub length: usize,
}

/// One request. Its memory is used again for the next.
#[derive(Debug, Default)]
pub struct Request {
    bytes: Vec<u8>,
    /// End of the kept bytes in `bytes`, and the length, of each argument.
    arguments: Vec<(usize, usize)>,
}

impl Request {
    /// How many arguments there are, the command's name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// Whether there are none, which a decoded request never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty()
    }

    /// The argument at `index`; the command's name is the first.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Argument<'_>> {
        let &(end, length) = self.arguments.get(index)?;
        let start = index
            .checked_sub(1)
            .and_then(|before| self.arguments.get(before))
            .map_or(0, |(end, _)| *end);
        Some(Argument {
            bytes: &self.bytes[start..end],
            length,
        })
    }

    /// All arguments, the command's name first.
    pub fn arguments(&self) -> impl Iterator<Item = Argument<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.arguments.clear();
    }
}

#[derive(Debug, Clone, Copy, Default)]
enum Awaited {
    #[default]
    Array,
    ArgumentLength,
    Argument {
        length: usize,
        arrived: usize,
    },
}

/// Turns arriving bytes into requests. After an error it must not be used again.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    limits: RequestLimits,
    awaited: Awaited,
    left: usize,
    frame: usize,
    request: Request,
}

impl RequestDecoder {
    /// A decoder with `limits`.
    #[must_use]
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes the next request out of `buffer`, or as much of it as is there; `None` until it is
    /// complete. It is there until the next call.
    ///
    /// # Errors
    /// The bytes are not a request in RESP2, or go over a limit.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<&Request>, RespError> {
        loop {
            match self.awaited {
                Awaited::Array => {
                    let Some(count) = self.length_line(buffer, b'*', RespError::NotAnArray)? else {
                        return Ok(None);
                    };
                    let most = self.limits.arguments;
                    match usize::try_from(count) {
                        Ok(0) => return Err(RespError::NoArguments),
                        Ok(count) if count <= most => self.left = count,
                        Ok(_) => return Err(RespError::TooManyItems { most }),
                        Err(_) => return Err(RespError::NotAnArray),
                    }
                    self.request.clear();
                    self.awaited = Awaited::ArgumentLength;
                }
                Awaited::ArgumentLength => {
                    let Some(announced) = self.length_line(buffer, b'$', RespError::NotABulk)?
                    else {
                        return Ok(None);
                    };
                    let announced = u64::try_from(announced).map_err(|_| RespError::NotABulk)?;
                    let most = self.limits.argument;
                    let length = usize::try_from(announced)
                        .ok()
                        .filter(|length| *length <= most)
                        .ok_or(RespError::BulkTooLarge {
                            length: announced,
                            most,
                        })?;
                    self.count(length)?;
                    self.awaited = Awaited::Argument { length, arrived: 0 };
                }
                Awaited::Argument { length, arrived } => {
                    let arrived = arrived + self.keep(buffer, arrived, length - arrived);
                    self.awaited = Awaited::Argument { length, arrived };
                    if arrived < length || buffer.len() < 2 {
                        return Ok(None);
                    }
                    if &buffer[..2] != b"\r\n" {
                        return Err(RespError::MissingLineEnd);
                    }
                    buffer.advance(2);
                    let end = self.request.bytes.len();
                    self.request.arguments.push((end, length));
                    self.left -= 1;
                    if self.left == 0 {
                        self.awaited = Awaited::Array;
                        self.frame = 0;
                        return Ok(Some(&self.request));
                    }
                    self.awaited = Awaited::ArgumentLength;
                }
            }
        }
    }

    /// Whether a request has begun that is not complete.
    #[must_use]
    pub fn is_within_request(&self) -> bool {
        !matches!(self.awaited, Awaited::Array)
    }

    /// Bytes of memory that it holds.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.request.bytes.capacity()
            + self.request.arguments.capacity() * std::mem::size_of::<(usize, usize)>()
    }

    /// Takes up to `left` bytes of an argument of which `arrived` came before; returns how many
    /// it took.
    fn keep(&mut self, buffer: &mut BytesMut, arrived: usize, left: usize) -> usize {
        let taken = left.min(buffer.len());
        let kept = taken.min(KEPT.saturating_sub(arrived));
        self.request.bytes.extend_from_slice(&buffer[..kept]);
        buffer.advance(taken);
        taken
    }

    fn length_line(
        &mut self,
        buffer: &mut BytesMut,
        kind: u8,
        otherwise: RespError,
    ) -> Result<Option<i64>, RespError> {
        match buffer.first() {
            None => return Ok(None),
            Some(first) if *first != kind => return Err(otherwise),
            Some(_) => {}
        }
        let Some(line) = take_line(buffer)? else {
            return Ok(None);
        };
        self.count(line.len())?;
        parse_number(&line[1..]).map(Some)
    }

    fn count(&mut self, bytes: usize) -> Result<(), RespError> {
        let most = self.limits.frame;
        self.frame = self.frame.saturating_add(bytes);
        if self.frame > most {
            return Err(RespError::FrameTooLarge { most });
        }
        Ok(())
    }
}

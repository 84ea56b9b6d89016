//! Replies, as a client reads them.

use bytes::{Buf, Bytes, BytesMut};

use super::{RespError, parse_number, take_line};
use crate::store::MAX_PAYLOAD;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A short text that means success.
    Status(String),
    /// A short text that says what is wrong. Control characters in it are replaced by `?`.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Nothing: there is no such key.
    Nil,
    /// Several replies in one.
    Array(Vec<Reply>),
}

impl Reply {
    /// What kind of reply it is, for errors.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Status(_) => "a status",
            Self::Error(_) => "an error",
            Self::Integer(_) => "a number",
            Self::Bulk(_) => "bytes",
            Self::Nil => "nil",
            Self::Array(_) => "an array",
        }
    }
}

/// How much of a reply is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyLimits {
    /// The longest bulk string, in bytes. Default 8 MiB, the longest payload.
    pub bulk: usize,
    /// How many parts a reply may have, over all its depths. Default 262,144: a scan answers
    /// with what 0-db finds in two milliseconds, four parts a key.
    pub items: usize,
    /// How deep arrays may be nested. Default 4; a scan nests 3.
    pub depth: usize,
    /// The longest reply as a whole, in bytes. Default 64 MiB.
    pub frame: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self {
            bulk: MAX_PAYLOAD,
            items: 256 * 1024,
            depth: 4,
            frame: 64 * 1024 * 1024,
        }
    }
}

/// An array that is not complete yet.
#[derive(Debug)]
struct Level {
    left: usize,
    items: Vec<Reply>,
}

/// Turns arriving bytes into replies. After an error it must not be used again: where the next
/// reply begins is unknown.
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    limits: ReplyLimits,
    levels: Vec<Level>,
    /// The length of the bulk string whose payload is awaited.
    bulk: Option<usize>,
    items: usize,
    frame: usize,
}

impl ReplyDecoder {
    /// A decoder with `limits`.
    #[must_use]
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes the next reply out of `buffer`, or as much of it as is there; `None` until it is
    /// complete. Payloads share the buffer's memory.
    ///
    /// # Errors
    /// The bytes are not RESP2, or go over a limit.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, RespError> {
        loop {
            let Some(mut value) = self.next_value(buffer)? else {
                return Ok(None);
            };
            // A complete value may complete the arrays that it is the last of.
            loop {
                let Some(level) = self.levels.last_mut() else {
                    self.items = 0;
                    self.frame = 0;
                    return Ok(Some(value));
                };
                level.items.push(value);
                level.left -= 1;
                if level.left > 0 {
                    break;
                }
                value = Reply::Array(std::mem::take(&mut level.items));
                self.levels.pop();
            }
        }
    }

    /// Whether a reply has begun that is not complete.
    #[must_use]
    pub fn is_within_reply(&self) -> bool {
        self.bulk.is_some() || !self.levels.is_empty()
    }

    /// How many bytes the payload that is awaited has in all, its line end included; 0 when none
    /// is.
    #[must_use]
    pub fn awaited_payload(&self) -> usize {
        self.bulk.map_or(0, |length| length + 2)
    }

    /// The next value that is not the head of an array.
    fn next_value(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, RespError> {
        loop {
            if let Some(length) = self.bulk {
                return self.payload(buffer, length);
            }
            let Some(line) = take_line(buffer)? else {
                return Ok(None);
            };
            self.count(line.len() + 2)?;
            let (&kind, rest) = line.split_first().ok_or(RespError::UnknownType(b'\r'))?;
            match kind {
                b'+' => return Ok(Some(Reply::Status(text(rest)))),
                b'-' => return Ok(Some(Reply::Error(text(rest)))),
                b':' => return Ok(Some(Reply::Integer(parse_number(rest)?))),
                b'$' => match parse_number(rest)? {
                    -1 => return Ok(Some(Reply::Nil)),
                    length => self.bulk = Some(self.bulk_length(length)?),
                },
                b'*' => match parse_number(rest)? {
                    -1 => return Ok(Some(Reply::Nil)),
                    0 => return Ok(Some(Reply::Array(Vec::new()))),
                    count => self.open_array(count)?,
                },
                other => return Err(RespError::UnknownType(other)),
            }
        }
    }

    fn payload(
        &mut self,
        buffer: &mut BytesMut,
        length: usize,
    ) -> Result<Option<Reply>, RespError> {
        if buffer.len() < length + 2 {
            return Ok(None);
        }
        if &buffer[length..length + 2] != b"\r\n" {
            return Err(RespError::MissingLineEnd);
        }
        let payload = buffer.split_to(length).freeze();
        buffer.advance(2);
        self.bulk = None;
        Ok(Some(Reply::Bulk(payload)))
    }

    fn bulk_length(&mut self, announced: i64) -> Result<usize, RespError> {
        let most = self.limits.bulk;
        let announced = u64::try_from(announced).map_err(|_| RespError::NotANumber)?;
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= most)
            .ok_or(RespError::BulkTooLarge {
                length: announced,
                most,
            })?;
        self.count(length + 2)?;
        Ok(length)
    }

    fn open_array(&mut self, count: i64) -> Result<(), RespError> {
        let most = self.limits.items;
        let count = usize::try_from(count).map_err(|_| RespError::NotANumber)?;
        self.items = self.items.saturating_add(count);
        if self.items > most {
            return Err(RespError::TooManyItems { most });
        }
        if self.levels.len() >= self.limits.depth {
            return Err(RespError::TooDeep {
                most: self.limits.depth,
            });
        }
        self.levels.push(Level {
            left: count,
            // What comes decides how large it gets, not what was announced.
            items: Vec::with_capacity(count.min(16)),
        });
        Ok(())
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

/// A line as text that can be shown.
fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

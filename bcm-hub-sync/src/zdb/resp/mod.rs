//! RESP2, the wire format: requests are arrays of bulk strings, replies are one of five kinds.
//!
//! Both decoders are incremental: they are given what has arrived and say when a whole value is
//! there. They never trust an announced length with memory: nothing is allocated for bytes that
//! have not come.

mod reply;
mod request;
mod write;

#[cfg(test)]
mod tests;

use bytes::{Buf, BytesMut};

pub use reply::{Reply, ReplyDecoder, ReplyLimits};
pub use request::{Argument, Request, RequestDecoder, RequestLimits};
pub use write::{
    write_array_header, write_bulk, write_bulk_header, write_error, write_integer, write_nil,
    write_request, write_status,
};

/// The longest line: a status, an error or a length, without its end.
const MAX_LINE: usize = 1024;

/// Bytes that are not RESP2, or more of it than is allowed. Nothing that follows on the
/// connection can be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RespError {
    /// A line does not end within 1,024 bytes.
    #[error("a line is longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// A line ends with a line feed alone, or a payload is not followed by a line end.
    #[error("a line end is missing")]
    MissingLineEnd,
    /// A value starts with a byte that starts no value.
    #[error("a value cannot start with byte 0x{0:02x}")]
    UnknownType(u8),
    /// A number, or a length, is not one.
    #[error("a number was expected")]
    NotANumber,
    /// A request is not an array.
    #[error("a request has to be an array")]
    NotAnArray,
    /// A request has no arguments.
    #[error("a request without arguments")]
    NoArguments,
    /// An argument of a request is not a bulk string.
    #[error("an argument has to be a bulk string")]
    NotABulk,
    /// A bulk string is too long.
    #[error("a bulk string of {length} bytes, where {most} are allowed")]
    BulkTooLarge {
        /// Its announced length, in bytes.
        length: u64,
        /// The limit.
        most: usize,
    },
    /// A value has too many parts.
    #[error("a value has more than {most} parts")]
    TooManyItems {
        /// The limit.
        most: usize,
    },
    /// Arrays hold arrays too deeply.
    #[error("arrays are nested more than {most} deep")]
    TooDeep {
        /// The limit.
        most: usize,
    },
    /// A value as a whole is too long.
    #[error("a value has more than {most} bytes")]
    FrameTooLarge {
        /// The limit, in bytes.
        most: usize,
    },
}

/// Takes one line without its end; `None` until it is complete.
fn take_line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, RespError> {
    let searched = &buffer[..buffer.len().min(MAX_LINE + 2)];
    let Some(end) = searched.iter().position(|b| *b == b'\n') else {
        return if buffer.len() > MAX_LINE + 1 {
            Err(RespError::LineTooLong)
        } else {
            Ok(None)
        };
    };
    if end == 0 || buffer[end - 1] != b'\r' {
        return Err(RespError::MissingLineEnd);
    }
    let line = buffer.split_to(end - 1);
    buffer.advance(2);
    Ok(Some(line))
}

/// Reads a decimal number that fits an `i64`; no sign but a minus, no spaces.
fn parse_number(digits: &[u8]) -> Result<i64, RespError> {
    let (negative, digits) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    if digits.is_empty() || digits.len() > 20 {
        return Err(RespError::NotANumber);
    }
    let mut number: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Err(RespError::NotANumber);
        }
        let digit = i64::from(byte - b'0');
        number = number
            .checked_mul(10)
            .and_then(|n| {
                if negative {
                    n.checked_sub(digit)
                } else {
                    n.checked_add(digit)
                }
            })
            .ok_or(RespError::NotANumber)?;
    }
    Ok(number)
}

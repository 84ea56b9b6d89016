//! Writing values.

use bytes::{BufMut, BytesMut};

use super::Reply;

/// Writes a number in decimal.
fn write_number(out: &mut BytesMut, number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

fn write_head(out: &mut BytesMut, kind: u8, number: usize) {
    out.put_u8(kind);
    write_number(out, number as u64);
    out.extend_from_slice(b"\r\n");
}

/// Writes a short text that means success. It must not have line ends.
pub fn write_status(out: &mut BytesMut, text: &str) {
    out.put_u8(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a short text that says what is wrong. It must not have line ends.
pub fn write_error(out: &mut BytesMut, text: &str) {
    out.put_u8(b'-');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a number.
pub fn write_integer(out: &mut BytesMut, number: i64) {
    out.put_u8(b':');
    if number < 0 {
        out.put_u8(b'-');
    }
    write_number(out, number.unsigned_abs());
    out.extend_from_slice(b"\r\n");
}

/// Writes that there is nothing.
pub fn write_nil(out: &mut BytesMut) {
    out.extend_from_slice(b"$-1\r\n");
}

/// Writes `payload`.
pub fn write_bulk(out: &mut BytesMut, payload: &[u8]) {
    write_bulk_header(out, payload.len());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Writes what comes before a payload of `length` bytes; the payload and a line end follow.
pub fn write_bulk_header(out: &mut BytesMut, length: usize) {
    write_head(out, b'$', length);
}

/// Writes the beginning of an array; `count` values follow.
pub fn write_array_header(out: &mut BytesMut, count: usize) {
    write_head(out, b'*', count);
}

/// Writes a request: the command's name and its arguments.
pub fn write_request(out: &mut BytesMut, arguments: &[&[u8]]) {
    write_array_header(out, arguments.len());
    for argument in arguments {
        write_bulk(out, argument);
    }
}

impl Reply {
    /// Writes this reply. Line ends in a status or an error would garble it.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Status(text) => write_status(out, text),
            Self::Error(text) => write_error(out, text),
            Self::Integer(number) => write_integer(out, *number),
            Self::Bulk(payload) => write_bulk(out, payload),
            Self::Nil => write_nil(out),
            Self::Array(items) => {
                write_array_header(out, items.len());
                for item in items {
                    item.write(out);
                }
            }
        }
    }
}

//! 0-db's cursors in an order that sorts.
//!
//! 0-db packs, in little endian: the key's length (1 byte), the number of the index file, the
//! payload's length, the offset in the index file, a checksum (4 bytes each). A [`Cursor`] holds
//! the same bytes with file and offset first, in big endian, so that cursors compare in the order
//! of insertion. Nothing else relies on what the bytes mean, and every cursor goes there and back.

use bytes::Bytes;

use crate::store::Cursor;

/// For each byte of a [`Cursor`], where it stands in the server's: file and offset from their
/// highest byte down, then the rest.
const PLACES: [usize; 17] = [4, 3, 2, 1, 12, 11, 10, 9, 0, 5, 6, 7, 8, 13, 14, 15, 16];

/// `None` for what is not as long as a cursor.
pub(super) fn from_server(bytes: &[u8]) -> Option<Cursor> {
    let bytes: &[u8; 17] = bytes.try_into().ok()?;
    Some(Cursor(PLACES.map(|place| bytes[place])))
}

pub(super) fn to_server(cursor: &Cursor) -> Bytes {
    let mut bytes = [0; 17];
    for (at, place) in PLACES.into_iter().enumerate() {
        bytes[place] = cursor.0[at];
    }
    Bytes::copy_from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(file: u32, offset: u32) -> Vec<u8> {
        let mut bytes = vec![16];
        for number in [file, 0xffff_fff0 - offset, offset, 0xdead_beef ^ offset] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn they_sort_by_file_and_offset_and_come_back() {
        let places = [(0, 29), (0, 79), (0, 300), (1, 29), (1, 70_000), (256, 29)];
        let all: Vec<_> = places
            .iter()
            .map(|(file, offset)| server(*file, *offset))
            .collect();
        let cursors: Vec<_> = all.iter().map(|b| from_server(b).unwrap()).collect();
        assert!(cursors.is_sorted_by(|a, b| a < b));
        for (cursor, bytes) in cursors.iter().zip(&all) {
            assert_eq!(&to_server(cursor)[..], &bytes[..]);
        }
        assert_eq!(from_server(&[0; 16]), None);
    }
}

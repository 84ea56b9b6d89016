//! The 64-byte record: what the journal is made of, and what precedes each payload in a segment.
//!
//! ```text
//! at  bytes
//!  0  1   kind: 1 put, 2 removed, 3 commit
//!  1  1   length of the key
//!  2  2   zero
//!  4  4   CRC-32 of the store's id and of all the rest but the last byte
//!  8  32  key (zeros after a short one); commit: how many records were durable before it
//! 40  5   number: the record's place in the journal, from 1
//! 45  3   segment
//! 48  4   offset in the segment, of the block's own copy of this record
//! 52  3   bytes of payload
//! 55  8   put: time stamp (4), CRC-32 of the payload (4); removed: number of the block's put (5)
//! 63  1   1 once the block was removed; the only byte that is ever changed in place
//! ```
//! Integers are little-endian.

use crate::block::BlockKey;
use crate::store::Cursor;

pub(super) const RECORD_BYTES: usize = 64;

/// Numbers have five bytes, segments three, sizes three.
pub(super) const MAX_NUMBER: u64 = (1 << 40) - 1;
pub(super) const MAX_SEGMENT: u32 = (1 << 24) - 1;

const DEAD: usize = 63;

pub(super) type RawRecord = [u8; RECORD_BYTES];

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    /// Of the record in front of the payload.
    pub(super) offset: u32,
    /// Bytes of payload.
    pub(super) size: u32,
}

impl Place {
    /// Whether it begins there.
    pub(super) fn is_at(&self, segment: u32, offset: u64) -> bool {
        self.segment == segment && u64::from(self.offset) == offset
    }

    /// Just past the payload.
    pub(super) fn end(&self) -> u64 {
        u64::from(self.offset) + RECORD_BYTES as u64 + u64::from(self.size)
    }
}

/// A block that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) key: BlockKey,
    pub(super) place: Place,
    pub(super) timestamp: u32,
    pub(super) payload_crc: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Put(Put),
    /// The block of `key`, put as record `number` at `place`, was removed.
    Removed {
        key: BlockKey,
        place: Place,
        number: u64,
    },
    /// The payloads of all puts before this record are on disk, and so are the first `durable`
    /// records of the journal.
    Commit {
        durable: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) body: Body,
    /// The block was removed later.
    pub(super) dead: bool,
    /// The record's own CRC.
    pub(super) crc: u32,
}

impl Record {
    pub(super) fn encode(number: u64, body: &Body, store_id: u64) -> RawRecord {
        let mut raw = [0; RECORD_BYTES];
        let (kind, place) = match body {
            Body::Put(put) => {
                put_key(&mut raw, &put.key);
                raw[55..59].copy_from_slice(&put.timestamp.to_le_bytes());
                raw[59..63].copy_from_slice(&put.payload_crc.to_le_bytes());
                (1, Some(&put.place))
            }
            Body::Removed { key, place, number } => {
                put_key(&mut raw, key);
                raw[55..60].copy_from_slice(&number.to_le_bytes()[..5]);
                (2, Some(place))
            }
            Body::Commit { durable } => {
                raw[8..16].copy_from_slice(&durable.to_le_bytes());
                (3, None)
            }
        };
        raw[0] = kind;
        raw[40..45].copy_from_slice(&number.to_le_bytes()[..5]);
        if let Some(place) = place {
            raw[45..48].copy_from_slice(&place.segment.to_le_bytes()[..3]);
            raw[48..52].copy_from_slice(&place.offset.to_le_bytes());
            raw[52..55].copy_from_slice(&place.size.to_le_bytes()[..3]);
        }
        let crc = crc(&raw, store_id);
        raw[4..8].copy_from_slice(&crc.to_le_bytes());
        raw
    }

    /// `None` when this is no whole record of this store.
    pub(super) fn decode(raw: &RawRecord, store_id: u64) -> Option<Self> {
        let stored = u32_at(raw, 4);
        if stored != crc(raw, store_id) {
            return None;
        }
        let place = Place {
            segment: u32_at(raw, 44) >> 8,
            offset: u32_at(raw, 48),
            size: u32_at(raw, 51) >> 8,
        };
        let body = match raw[0] {
            1 => Body::Put(Put {
                key: key(raw)?,
                place,
                timestamp: u32_at(raw, 55),
                payload_crc: u32_at(raw, 59),
            }),
            2 => Body::Removed {
                key: key(raw)?,
                place,
                number: u40_at(raw, 55),
            },
            3 => Body::Commit {
                durable: u64_at(raw, 8),
            },
            _ => return None,
        };
        Some(Self {
            number: u40_at(raw, 40),
            body,
            // No CRC covers it. Any other value is damage, and does not hide a block.
            dead: raw[DEAD] == 1,
            crc: stored,
        })
    }

    /// The cursor that names this record.
    pub(super) fn cursor(&self, store_id: u64) -> Cursor {
        let mut cursor = [2; 17];
        cursor[1..9].copy_from_slice(&self.number.to_be_bytes());
        cursor[9..13].copy_from_slice(&self.crc.to_be_bytes());
        cursor[13..].copy_from_slice(&store_id.to_be_bytes()[..4]);
        Cursor(cursor)
    }
}

/// The number that `cursor` claims to name; to be believed only when [`Record::cursor`] of that
/// record is the same cursor.
pub(super) fn claimed_number(cursor: &Cursor) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&cursor.0[1..9]);
    u64::from_be_bytes(number)
}

/// The byte to overwrite when a block is removed, counted from the start of its record.
pub(super) const DEAD_AT: u64 = DEAD as u64;

fn put_key(raw: &mut RawRecord, key: &BlockKey) {
    let bytes = key.as_bytes();
    raw[1] = if bytes.len() == 32 { 32 } else { 16 };
    raw[8..8 + bytes.len()].copy_from_slice(bytes);
}

fn key(raw: &RawRecord) -> Option<BlockKey> {
    let length = usize::from(raw[1]);
    BlockKey::from_bytes(raw[8..40].get(..length)?).ok()
}

fn crc(raw: &RawRecord, store_id: u64) -> u32 {
    let mut covered = [0; RECORD_BYTES + 4];
    covered[..4].copy_from_slice(&raw[..4]);
    covered[4..12].copy_from_slice(&store_id.to_le_bytes());
    covered[12..67].copy_from_slice(&raw[8..DEAD]);
    crc32fast::hash(&covered)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u40_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value[..5].copy_from_slice(&bytes[at..at + 5]);
    u64::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bodies() -> impl Strategy<Value = Body> {
        let key = prop_oneof![
            any::<[u8; 16]>().prop_map(BlockKey::Short),
            any::<[u8; 32]>().prop_map(BlockKey::Long),
        ];
        let place = (0..=MAX_SEGMENT, any::<u32>(), 0..=(1u32 << 23)).prop_map(
            |(segment, offset, size)| Place {
                segment,
                offset,
                size,
            },
        );
        (key, place, any::<[u32; 2]>(), 0..=MAX_NUMBER, 0..3).prop_map(
            |(key, place, [timestamp, payload_crc], number, kind)| match kind {
                0 => Body::Put(Put {
                    key,
                    place,
                    timestamp,
                    payload_crc,
                }),
                1 => Body::Removed { key, place, number },
                _ => Body::Commit { durable: number },
            },
        )
    }

    proptest! {
        #[test]
        fn comes_back(body in bodies(), number in 0..=MAX_NUMBER, id: u64) {
            let mut raw = Record::encode(number, &body, id);
            let record = Record::decode(&raw, id).unwrap();
            prop_assert_eq!((record.number, record.body, record.dead), (number, body, false));
            prop_assert_eq!(Record::decode(&raw, id ^ 1), None);
            prop_assert_eq!(claimed_number(&record.cursor(id)), number);
            raw[DEAD] = 1;
            prop_assert!(Record::decode(&raw, id).unwrap().dead);
        }

        #[test]
        fn a_changed_bit_is_noticed(body in bodies(), bit in 0..DEAD * 8) {
            let mut raw = Record::encode(5, &body, 9);
            raw[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Record::decode(&raw, 9), None);
        }
    }
}

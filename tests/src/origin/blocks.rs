//! The fake 0-db's namespace: blocks in the order in which they came.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::fixtures;

/// A namespace in user-key mode, as 0-db keeps it on disk.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    order: Vec<Stored>,
    by_key: BTreeMap<Vec<u8>, usize>,
    /// By the place in the index file.
    by_offset: BTreeMap<u32, usize>,
    /// The bytes of those that are there.
    payload_bytes: u64,
    /// The number of the index file.
    file: u32,
}

/// One block.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its key.
    pub key: Vec<u8>,
    /// Its bytes.
    pub payload: Bytes,
    /// When it was stored, in seconds since 1970.
    pub timestamp: u32,
    deleted: bool,
    /// Where its entry is in the index file.
    offset: u32,
}

/// The bytes of an index file's header; the first entry follows.
const INDEX_HEADER: u32 = 29;
/// The bytes of an entry of the index file besides its key.
const INDEX_ENTRY: u32 = 34;

impl Blocks {
    /// The recorded namespace.
    pub fn recorded() -> Self {
        let mut blocks = Self::default();
        for block in fixtures::blocks() {
            blocks.put(block.key_bytes(), block.payload(), block.timestamp);
        }
        blocks
    }

    /// Puts a block at the end. Its key is not checked: a fake may lie.
    pub fn put(&mut self, key: Vec<u8>, payload: impl Into<Bytes>, timestamp: u32) {
        let payload = payload.into();
        let after = |last: &Stored| last.offset + last.key.len() as u32 + INDEX_ENTRY;
        let offset = self.order.last().map_or(INDEX_HEADER, after);
        self.payload_bytes += payload.len() as u64;
        self.by_offset.insert(offset, self.order.len());
        if let Some(before) = self.by_key.insert(key.clone(), self.order.len()) {
            let before = &mut self.order[before];
            before.deleted = true;
            self.payload_bytes -= before.payload.len() as u64;
        }
        self.order.push(Stored {
            key,
            payload,
            timestamp,
            deleted: false,
            offset,
        });
    }

    /// Deletes a block, which scans then pass over.
    #[track_caller]
    pub fn delete(&mut self, key: &[u8]) {
        let at = self.by_key.remove(key).expect("the key is there");
        self.order[at].deleted = true;
        self.payload_bytes -= self.order[at].payload.len() as u64;
    }

    /// Writes other bytes over a block's own, as a failing disk does: its checksum stays.
    #[track_caller]
    pub fn damage(&mut self, key: &[u8]) {
        let at = self.by_key[key];
        let mut payload = self.order[at].payload.to_vec();
        payload.reverse();
        payload.push(0);
        self.order[at].payload = payload.into();
    }

    /// Writes all files anew, without what was deleted, as an administrator's tool does: every
    /// cursor that was given before is void.
    pub fn compact(&mut self) {
        let old = std::mem::take(self);
        self.file = old.file + 1;
        for block in old.order.into_iter().filter(|block| !block.deleted) {
            self.put(block.key, block.payload, block.timestamp);
        }
    }

    /// The bytes of all blocks that are there.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// The block under `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Stored> {
        self.by_key.get(key).map(|at| &self.order[*at])
    }

    /// The blocks that are there, in the order in which they came.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Stored> {
        self.order.iter().filter(|block| !block.deleted)
    }

    /// How many blocks there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The cursor of `key`: key length, file number, payload length, offset in the index file and
    /// checksum of the entry, as the recorded server packs them.
    pub(super) fn cursor(&self, key: &[u8]) -> Option<Vec<u8>> {
        Some(self.cursor_of(&self.order[*self.by_key.get(key)?]))
    }

    fn cursor_of(&self, block: &Stored) -> Vec<u8> {
        let mut cursor = vec![block.key.len() as u8];
        for number in [
            self.file,
            block.payload.len() as u32,
            block.offset,
            crc32c(&block.payload),
        ] {
            cursor.extend(number.to_le_bytes());
        }
        cursor
    }

    /// Up to `limit` blocks after `cursor` (or from the end of `reverse`d order).
    pub(super) fn scan(
        &self,
        cursor: Option<&[u8]>,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<&Stored>, &'static str> {
        let after = match cursor {
            None => None,
            Some(cursor) => {
                // Good for ever: also when its block was deleted.
                let offset = cursor.get(9..13).and_then(|b| b.try_into().ok());
                let at = offset.and_then(|b| self.by_offset.get(&u32::from_le_bytes(b)));
                let at = at.copied().ok_or("Invalid key format")?;
                // The file's number is a part of it.
                if self.cursor_of(&self.order[at]) != cursor {
                    return Err("Invalid key format");
                }
                Some(at)
            }
        };
        let live = |block: &&Stored| !block.deleted;
        let found: Vec<_> = if reverse {
            let end = after.unwrap_or(self.order.len());
            self.order[..end]
                .iter()
                .rev()
                .filter(live)
                .take(limit)
                .collect()
        } else {
            let start = after.map_or(0, |at| at + 1);
            self.order[start..]
                .iter()
                .filter(live)
                .take(limit)
                .collect()
        };
        if found.is_empty() {
            return Err("No more data");
        }
        Ok(found)
    }
}

/// The CRC of 0-db: the Castagnoli polynomial from a state of zero, without a final inversion.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    bytes.iter().fold(0, |crc, byte| {
        (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

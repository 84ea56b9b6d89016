//! The fake 0-db's namespace: blocks in the order in which they came.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::fixtures;

/// A namespace in user-key mode, as 0-db keeps it on disk.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    order: Vec<Stored>,
    by_key: BTreeMap<Vec<u8>, usize>,
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
        self.by_key.insert(key.clone(), self.order.len());
        self.order.push(Stored {
            key,
            payload: payload.into(),
            timestamp,
            deleted: false,
        });
    }

    /// Deletes a block, which scans then pass over.
    #[track_caller]
    pub fn delete(&mut self, key: &[u8]) {
        let at = self.by_key.remove(key).expect("the key is there");
        self.order[at].deleted = true;
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
        let at = *self.by_key.get(key)?;
        let before = self.order[..at].iter();
        let offset: u32 = before.map(|b| b.key.len() as u32 + INDEX_ENTRY).sum();
        let block = &self.order[at];
        let mut cursor = vec![block.key.len() as u8];
        for number in [
            0,
            block.payload.len() as u32,
            INDEX_HEADER + offset,
            crc32c(&block.payload),
        ] {
            cursor.extend(number.to_le_bytes());
        }
        Some(cursor)
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
                let mut blocks = self.iter();
                let found = blocks.find(|b| self.cursor(&b.key).as_deref() == Some(cursor));
                let block = found.ok_or("Invalid key format")?;
                Some(self.by_key[&block.key])
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

//! A store in memory, for tests and for small jobs.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::{BlockInfo, BlockStore, Cursor, Direction, StoreError, StoreStats, VerifiedBlock};
use crate::block::BlockKey;

/// Keeps its blocks in memory and behaves in every other way as the embedded store does.
#[derive(Debug)]
pub struct MemoryStore {
    /// Tells this store's cursors from those of others.
    id: u64,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Blocks by their number, which is their place in the order of insertion.
    blocks: BTreeMap<u64, VerifiedBlock>,
    numbers: HashMap<BlockKey, u64>,
    /// How many blocks were ever put: the next block's number.
    inserted: u64,
    removed: u64,
    payload_bytes: u64,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            id: RandomState::new().hash_one(0),
            inner: RwLock::default(),
        }
    }
}

impl MemoryStore {
    fn inner(&self) -> RwLockReadGuard<'_, Inner> {
        // Nothing in here panics half-way through a change.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn inner_mut(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn cursor(&self, number: u64) -> Cursor {
        let mut cursor = [1; 17];
        cursor[1..9].copy_from_slice(&number.to_be_bytes());
        // Ties number and store together, so that no number of one's own making passes.
        let check = self.id ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        cursor[9..].copy_from_slice(&check.to_be_bytes());
        Cursor(cursor)
    }

    fn number(&self, cursor: &Cursor, inner: &Inner) -> Result<u64, StoreError> {
        let mut number = [0; 8];
        number.copy_from_slice(&cursor.0[1..9]);
        let number = u64::from_be_bytes(number);
        if number < inner.inserted && *cursor == self.cursor(number) {
            Ok(number)
        } else {
            Err(StoreError::UnknownCursor)
        }
    }

    fn describe(&self, number: u64, block: &VerifiedBlock) -> BlockInfo {
        BlockInfo {
            key: *block.key(),
            size: size_of(block),
            timestamp: block.timestamp(),
            cursor: self.cursor(number),
        }
    }
}

fn size_of(block: &VerifiedBlock) -> u32 {
    // `VerifiedBlock` admits 8 MiB at most.
    u32::try_from(block.payload().len()).unwrap_or(u32::MAX)
}

impl BlockStore for MemoryStore {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        let inner = self.inner();
        Ok(inner.numbers.get(key).and_then(|number| {
            let block = inner.blocks.get(number)?;
            Some((self.describe(*number, block), block.payload().clone()))
        }))
    }

    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        Ok(self.get(key)?.map(|(info, _)| info))
    }

    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        let inner = self.inner();
        Ok(keys
            .iter()
            .map(|key| inner.numbers.contains_key(key))
            .collect())
    }

    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        let mut inner = self.inner_mut();
        let mut new = 0;
        for block in blocks {
            if inner.numbers.contains_key(block.key()) {
                continue;
            }
            let number = inner.inserted;
            inner.inserted += 1;
            inner.payload_bytes += u64::from(size_of(block));
            inner.numbers.insert(*block.key(), number);
            inner.blocks.insert(number, block.clone());
            new += 1;
        }
        Ok(new)
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        let mut inner = self.inner_mut();
        let mut removed = 0;
        for key in keys {
            let Some(number) = inner.numbers.remove(key) else {
                continue;
            };
            if let Some(block) = inner.blocks.remove(&number) {
                inner.payload_bytes -= u64::from(size_of(&block));
            }
            removed += 1;
        }
        inner.removed += removed;
        Ok(removed)
    }

    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        let inner = self.inner();
        let place = match after {
            Some(cursor) => Bound::Excluded(self.number(cursor, &inner)?),
            None => Bound::Unbounded,
        };
        let describe = |(number, block): (&u64, &VerifiedBlock)| self.describe(*number, block);
        Ok(match direction {
            Direction::Forward => inner
                .blocks
                .range((place, Bound::Unbounded))
                .take(limit)
                .map(describe)
                .collect(),
            Direction::Backward => inner
                .blocks
                .range((Bound::Unbounded, place))
                .rev()
                .take(limit)
                .map(describe)
                .collect(),
        })
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let inner = self.inner();
        Ok(StoreStats {
            blocks: inner.numbers.len() as u64,
            payload_bytes: inner.payload_bytes,
            disk_bytes: 0,
        })
    }

    fn generation(&self) -> Result<u64, StoreError> {
        let inner = self.inner();
        Ok(inner.inserted + inner.removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conforms() {
        super::super::conformance::all(|| ((), MemoryStore::default()));
    }
}

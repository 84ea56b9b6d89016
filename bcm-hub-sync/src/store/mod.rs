//! Where blocks are kept.
//!
//! [`BlockStore`] is the seam: the rest of the crate does not know which store it works with. All
//! stores take only [`VerifiedBlock`]s, so no byte enters one unverified.
//!
//! The methods may block on disk or network. Async code calls them on a blocking thread, with
//! many blocks at a time.

pub mod embedded;
pub mod memory;
pub mod routed;
pub mod zdb;

#[cfg(test)]
mod conformance;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::block::BlockKey;
use crate::zdb::client::ClientError;

/// The largest payload that 0-db takes, 8 MiB; no block is larger.
pub const MAX_PAYLOAD: usize = 8 * 1024 * 1024;

/// A block whose payload was checked against its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    key: BlockKey,
    payload: Bytes,
    timestamp: u32,
}

/// A payload that is not what its key says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedBlock {
    /// The payload does not hash to the key.
    #[error("block {key}: its {size} bytes do not hash to its key")]
    Mismatch {
        /// The key it came under.
        key: BlockKey,
        /// How many bytes came.
        size: usize,
    },
    /// The payload is larger than any block may be.
    #[error("block {key}: {size} bytes are more than the {MAX_PAYLOAD} that a block may have")]
    TooLarge {
        /// The key it came under.
        key: BlockKey,
        /// How many bytes came.
        size: usize,
    },
}

impl VerifiedBlock {
    /// Checks `payload` against `key`. `timestamp` is when the block was first stored, in seconds
    /// since 1970, as 0-db keeps it.
    ///
    /// # Errors
    /// The payload is too large or hashes to something else.
    pub fn verify(key: BlockKey, payload: Bytes, timestamp: u32) -> Result<Self, RefusedBlock> {
        let size = payload.len();
        if size > MAX_PAYLOAD {
            return Err(RefusedBlock::TooLarge { key, size });
        }
        if !key.verifies(&payload) {
            return Err(RefusedBlock::Mismatch { key, size });
        }
        Ok(Self {
            key,
            payload,
            timestamp,
        })
    }

    /// As [`VerifiedBlock::verify`] for many blocks, in their order, and about twice as fast.
    #[must_use]
    pub fn verify_many(blocks: Vec<(BlockKey, Bytes, u32)>) -> Vec<Result<Self, RefusedBlock>> {
        let fits = |payload: &Bytes| payload.len() <= MAX_PAYLOAD;
        let to_hash: Vec<(BlockKey, &[u8])> = blocks
            .iter()
            .filter(|(_, payload, _)| fits(payload))
            .map(|(key, payload, _)| (*key, &payload[..]))
            .collect();
        let mut verified = BlockKey::verify_many(&to_hash).into_iter();
        blocks
            .into_iter()
            .map(|(key, payload, timestamp)| {
                let size = payload.len();
                if !fits(&payload) {
                    return Err(RefusedBlock::TooLarge { key, size });
                }
                if verified.next() != Some(true) {
                    return Err(RefusedBlock::Mismatch { key, size });
                }
                Ok(Self {
                    key,
                    payload,
                    timestamp,
                })
            })
            .collect()
    }

    /// Makes the block of `payload` with its version-1 key.
    ///
    /// # Errors
    /// The payload is too large.
    pub fn new(payload: Bytes, timestamp: u32) -> Result<Self, RefusedBlock> {
        let key = BlockKey::of(&payload);
        if payload.len() > MAX_PAYLOAD {
            return Err(RefusedBlock::TooLarge {
                key,
                size: payload.len(),
            });
        }
        Ok(Self {
            key,
            payload,
            timestamp,
        })
    }

    /// The block's key.
    #[must_use]
    pub fn key(&self) -> &BlockKey {
        &self.key
    }

    /// The block's bytes.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// When it was first stored, in seconds since 1970.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }
}

/// What a store knows of a block without reading its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// The block's key.
    pub key: BlockKey,
    /// Bytes of payload.
    pub size: u32,
    /// When the block was first stored, in seconds since 1970.
    pub timestamp: u32,
    /// The block's place in the order of insertion.
    pub cursor: Cursor,
}

/// A place in a store's order of insertion: good for as long as the store lives, even when the
/// block that it names is removed. Cursors of one store compare in the order of insertion, and all
/// begin with the same byte; opaque outside of the store that gave it otherwise. 17 bytes, the
/// length of 0-db's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub [u8; 17]);

/// Which way a scan goes through the order of insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// What came of an attempt to mend a block from a store's own copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// All of its copies are good now.
    Yes,
    /// There is no good copy.
    No,
}

/// Totals of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// How many blocks there are.
    pub blocks: u64,
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// Bytes that the store takes on disk, with its index.
    pub disk_bytes: u64,
}

/// A store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What is on disk is not what was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A cursor that this store never gave.
    #[error("the cursor is not one of this store's")]
    UnknownCursor,
    /// The store was opened for reading.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// Another process, or another handle of this one, writes to the store.
    #[error("the block store {} is being written to by somebody else ({holder})", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
        /// What the writer says of itself: `process 123`.
        holder: String,
    },
    /// An earlier write failed in a way that leaves open what is on disk. Reading goes on; to write,
    /// open the store again.
    #[error("the block store {} takes no more writes, because it could not {operation} before", path.display())]
    Failed {
        /// The store's folder.
        path: PathBuf,
        /// What failed.
        operation: &'static str,
    },
    /// A 0-db that keeps blocks could not be asked.
    #[error("the block store {store} could not be used")]
    Remote {
        /// Its address, without the password.
        store: String,
        /// Why.
        source: Box<ClientError>,
    },
    /// A store that has replicas failed a moment ago, and is not asked again at once.
    #[error("the block store {store} failed a moment ago: {reason}")]
    Resting {
        /// Its name.
        store: String,
        /// What happened then.
        reason: String,
    },
    /// A 0-db that keeps blocks takes no writes: it is read-only for who did not give the
    /// namespace's password, or locked, or frozen.
    #[error("the block store {store} takes no writes: {message}")]
    NotWritable {
        /// Its address, without the password.
        store: String,
        /// What it says.
        message: String,
    },
    /// A 0-db that keeps blocks has no room left.
    #[error("the block store {store} is full: {message}")]
    Full {
        /// Its address, without the password.
        store: String,
        /// What it says.
        message: String,
    },
    /// A store gave something else for a block.
    #[error(
        "the block store {store} gives {size} bytes for block {key} that do not hash to its key"
    )]
    DamagedBlock {
        /// Its name.
        store: String,
        /// The block.
        key: BlockKey,
        /// How many bytes came.
        size: usize,
    },
    /// Routes that do not make a store.
    #[error("the block store's routes do not fit together")]
    Routes(#[from] routed::RoutedError),
    /// The system gives no thread for a store's connections.
    #[error("could not start the thread of the block store {store}")]
    Thread {
        /// Its name.
        store: String,
        /// Why.
        source: std::io::Error,
    },
}

impl StoreError {
    /// For `map_err`: `operation` on `path` failed.
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            offset,
            what: what.into(),
        }
    }

    /// Whether a block's bytes are not what they should be, while the store itself works.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::DamagedBlock { .. })
    }

    /// Whether the disk is full: nothing is wrong with the store, it needs room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
            || matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
    }
}

/// A place that keeps blocks by key and remembers in which order they came.
///
/// Readers and one writer may work at once, from many threads, and (for stores on disk) from
/// several processes, of which one writes.
pub trait BlockStore: Send + Sync {
    /// The block's payload and what is known of it, or `None` where it is not here. The payload
    /// is not hashed again; stores on disk compare a CRC-32 that was made when it was stored.
    ///
    /// # Errors
    /// It cannot be read, or its place on disk is damaged.
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError>;

    /// Reads the payloads of many blocks at once, such as a scan gave, in the same order. A store on
    /// disk reads neighbours together, so this is the way to go through all of it: `scan` a
    /// thousand, `read` them in slices of a few MiB, hash the slices on several threads.
    ///
    /// For each block: its payload; `None` when it was removed since; or why it cannot be read, so
    /// that one damaged block does not hide the rest. The payloads are **not** checked at all.
    fn read(&self, blocks: &[BlockInfo]) -> Vec<Result<Option<Bytes>, StoreError>> {
        blocks
            .iter()
            .map(|block| Ok(self.get(&block.key)?.map(|(_, payload)| payload)))
            .collect()
    }

    /// Whether the block's payload still hashes to its key; `None` where it is not here. Damage is
    /// `Some(false)`, never an error.
    ///
    /// # Errors
    /// The store cannot be read, for a reason other than damage to this block.
    fn check(&self, key: &BlockKey) -> Result<Option<bool>, StoreError> {
        match self.get(key) {
            Ok(found) => Ok(found.map(|(_, payload)| key.verifies(&payload))),
            Err(error) if error.is_damage() => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }

    /// What is known of a block, or `None` where it is not here.
    ///
    /// # Errors
    /// The index cannot be read.
    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError>;

    /// For each of `keys`, whether its block is here. Sorted keys are answered fastest.
    ///
    /// # Errors
    /// The index cannot be read.
    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError>;

    /// Stores `blocks` and returns how many were new. They can be read at once; they are durable
    /// after the next [`BlockStore::flush`].
    ///
    /// # Errors
    /// Read-only, a full disk, a failing disk. What was stored before stays.
    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError>;

    /// Makes all that was put or removed durable: it survives a power cut.
    ///
    /// # Errors
    /// The disk failed. What was put since the last flush may or may not survive.
    fn flush(&self) -> Result<(), StoreError>;

    /// Removes blocks and returns how many were there.
    ///
    /// # Errors
    /// Read-only, or the disk failed.
    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError>;

    /// Up to `limit` blocks in the order of insertion (or its reverse), strictly after the place
    /// `after`, or from the beginning. An empty answer is the end.
    ///
    /// # Errors
    /// [`StoreError::UnknownCursor`]; the store cannot be read.
    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError>;

    /// Looks whether the store's own books are whole, for a report of its health: when they are not,
    /// blocks may be here that are not found. Payloads are not looked at.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] says where they are not; the store cannot be read.
    fn audit(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Totals.
    ///
    /// # Errors
    /// The store cannot be read.
    fn stats(&self) -> Result<StoreStats, StoreError>;

    /// The stores that this one is made of, each with its name, where it is made of several. A
    /// verification looks at each by itself: a good copy in one hides a bad one in another.
    fn members(&self) -> Vec<(String, Arc<dyn BlockStore>)> {
        Vec::new()
    }

    /// Those of `keys` that a member which should have a copy lacks.
    ///
    /// # Errors
    /// A member cannot be asked.
    fn without_copies(&self, _keys: &[BlockKey]) -> Result<Vec<BlockKey>, StoreError> {
        Ok(Vec::new())
    }

    /// Makes every damaged or missing copy of `keys` from a good one that the store has itself, and
    /// says for each whether all of its copies are good now. A store with one copy of each block
    /// cannot.
    ///
    /// # Errors
    /// A member cannot be asked or takes no writes.
    fn mend(&self, keys: &[BlockKey]) -> Result<Vec<Mended>, StoreError> {
        Ok(vec![Mended::No; keys.len()])
    }

    /// What an operator should know although it works: a replica that missed writes, say.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// A number that changes whenever a block is put or removed, also by another process: how a
    /// server learns that there is something new without looking at blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    fn generation(&self) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_verified_as_one_by_one() {
        let right = |payload: &'static [u8]| (BlockKey::of(payload), Bytes::from(payload), 7);
        let long = BlockKey::Long(bcm_core::digest::blake2b_256(b"long"));
        let blocks = vec![
            right(b"one"),
            (long, Bytes::from_static(b"long"), 1),
            (BlockKey::of(b"one"), Bytes::from_static(b"other"), 2),
            right(b""),
            (BlockKey::of(b"x"), vec![0; MAX_PAYLOAD + 1].into(), 3),
            (long, Bytes::from_static(b"short"), 4),
            right(b"another"),
        ];
        let one_by_one: Vec<_> = blocks
            .iter()
            .map(|(key, payload, time)| VerifiedBlock::verify(*key, payload.clone(), *time))
            .collect();
        assert_eq!(one_by_one.iter().filter(|block| block.is_ok()).count(), 4);
        assert_eq!(VerifiedBlock::verify_many(blocks), one_by_one);
        assert_eq!(VerifiedBlock::verify_many(vec![]), vec![]);
    }
}

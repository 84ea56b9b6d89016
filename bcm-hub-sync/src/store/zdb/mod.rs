//! A 0-db of one's own as the place where blocks are kept.
//!
//! Everything goes over a pool of connections, pipelined. A connection that broke is made again,
//! and what it was asked is asked once more: nothing that a store asks does harm when it is done
//! twice.
//!
//! What a 0-db cannot do as the embedded store does:
//! - it has no command that makes data durable, so a block counts as stored when the server has
//!   answered; how soon that reaches its disk is the server's setting;
//! - it takes a block's time only from administrators, which all clients are where no admin
//!   password is set; otherwise blocks have the time at which they were stored there;
//! - its cursors are those of the server, and equal in two servers that were filled alike.

mod cursor;
mod pool;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use bcm_core::retry::RetryPolicy;
use bytes::Bytes;

use super::embedded::Access;
use super::{
    BlockInfo, BlockStore, Cursor, Direction, MAX_PAYLOAD, StoreError, StoreStats, VerifiedBlock,
};
use crate::block::BlockKey;
use crate::zdb::ZdbAddress;
use crate::zdb::client::{ClientError, ClientOptions, ScanEntry};
use crate::zdb::resp::Reply;

use self::pool::{Pool, Request};

/// How a store talks to its 0-db.
#[derive(Debug, Clone)]
pub struct ZdbStoreOptions {
    /// Whether it may be written to. Default: only read.
    pub access: Access,
    /// Time-outs and limits of a connection.
    pub client: ClientOptions,
    /// How often something is tried before it counts as failed. Default: 4 times in about two
    /// seconds, which a restart of the server takes.
    pub retry: RetryPolicy,
}

impl Default for ZdbStoreOptions {
    fn default() -> Self {
        Self {
            access: Access::ReadOnly,
            client: ClientOptions::default(),
            retry: RetryPolicy {
                attempts: 4,
                first: std::time::Duration::from_millis(300),
                ..RetryPolicy::default()
            },
        }
    }
}

/// Blocks in a namespace of a 0-db. See the [module](self) for what differs from other stores.
///
/// Its methods wait for the network and may be called from any thread.
#[derive(Debug)]
pub struct ZdbStore {
    pool: Pool,
    access: Access,
    /// Cleared when the server says that times are for administrators.
    takes_times: AtomicBool,
}

impl ZdbStore {
    /// A store in the namespace of `address`. Does not connect yet.
    ///
    /// # Errors
    /// The system gives no thread for the connections.
    pub fn new(address: ZdbAddress, options: ZdbStoreOptions) -> Result<Self, StoreError> {
        let access = options.access;
        Ok(Self {
            pool: Pool::new(address, options)?,
            access,
            takes_times: AtomicBool::new(true),
        })
    }

    /// Connects, so that a wrong address or password is noticed at the beginning.
    ///
    /// # Errors
    /// The 0-db cannot be reached or does not give the namespace.
    pub fn probe(&self) -> Result<(), StoreError> {
        self.pool.ask(vec![Request::new("PING", [])]).map(drop)
    }

    /// The namespace.
    #[must_use]
    pub fn address(&self) -> &ZdbAddress {
        self.pool.address()
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(StoreError::ReadOnly),
        }
    }

    /// The error for a reply that `command` does not have.
    fn odd(&self, command: &'static str, reply: &Reply) -> StoreError {
        match reply {
            Reply::Error(message) => self.refusal(command, message),
            other => self.failed(ClientError::Unexpected {
                host: self.address().authority(),
                command,
                reply: other.kind(),
            }),
        }
    }

    fn refusal(&self, command: &'static str, message: &str) -> StoreError {
        let store = self.address().to_string();
        let message = message.to_owned();
        match message.as_str() {
            "No space left on this namespace" => StoreError::Full { store, message },
            "Namespace is in read-only mode"
            | "Namespace is temporarily locked (read-only)"
            | "Namespace is temporarily frozen (read-write disabled)"
            | "Namespace is protected by worm mode"
            | "Cannot delete a key when namespace is in worm mode" => {
                StoreError::NotWritable { store, message }
            }
            _ => self.failed(ClientError::Refused {
                host: self.address().authority(),
                command,
                message,
            }),
        }
    }

    fn failed(&self, source: ClientError) -> StoreError {
        StoreError::Remote {
            store: self.address().to_string(),
            source: Box::new(source),
        }
    }

    fn describe(
        &self,
        key: &BlockKey,
        size: u64,
        time: Option<i64>,
        cursor: &Reply,
    ) -> Result<Option<BlockInfo>, StoreError> {
        let cursor = match cursor {
            Reply::Bulk(bytes) => cursor::from_server(bytes),
            // Removed in between.
            Reply::Error(message) if message == "Key not found" => return Ok(None),
            other => return Err(self.odd("KEYCUR", other)),
        };
        Ok(cursor.map(|cursor| BlockInfo {
            key: *key,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            timestamp: time
                .and_then(|time| u32::try_from(time).ok())
                .unwrap_or_default(),
            cursor,
        }))
    }

    /// What `entries` are, those that are blocks and still there.
    fn listed(&self, entries: &[(BlockKey, ScanEntry)]) -> Result<Vec<BlockInfo>, StoreError> {
        let ask = |(key, _): &(BlockKey, ScanEntry)| Request::of_key("KEYCUR", key);
        let cursors = self.pool.ask(entries.iter().map(ask).collect())?;
        let mut infos = Vec::with_capacity(entries.len());
        for ((key, entry), cursor) in entries.iter().zip(cursors) {
            infos.extend(self.describe(key, entry.size, Some(entry.timestamp), &cursor)?);
        }
        Ok(infos)
    }

    /// Sets `blocks`; which of them were new.
    fn set(&self, blocks: &[VerifiedBlock], times: bool) -> Result<Vec<Reply>, StoreError> {
        let set = |block: &VerifiedBlock| {
            let key = Bytes::copy_from_slice(block.key().as_bytes());
            let payload = block.payload().clone();
            match times {
                true => {
                    let time = block.timestamp().to_string();
                    Request::new("SET", [key, payload, time.into()])
                }
                false => Request::new("SET", [key, payload]),
            }
        };
        self.pool.ask(blocks.iter().map(set).collect())
    }
}

impl BlockStore for ZdbStore {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        let ask = ["GET", "KEYTIME", "KEYCUR"].map(|command| Request::of_key(command, key));
        let replies = self.pool.ask(ask.into())?;
        let [payload, time, cursor] = &replies[..] else {
            return Ok(None);
        };
        let payload = match payload {
            Reply::Bulk(payload) => payload.clone(),
            Reply::Nil => return Ok(None),
            other => return Err(self.odd("GET", other)),
        };
        if payload.len() > MAX_PAYLOAD || !key.verifies(&payload) {
            return Err(StoreError::DamagedBlock {
                store: self.address().to_string(),
                key: *key,
                size: payload.len(),
            });
        }
        let time = match time {
            Reply::Integer(time) => Some(*time),
            _ => None,
        };
        let info = self.describe(key, payload.len() as u64, time, cursor)?;
        Ok(info.map(|info| (info, payload)))
    }

    fn read(&self, blocks: &[BlockInfo]) -> Vec<Result<Option<Bytes>, StoreError>> {
        let ask = |block: &BlockInfo| Request::of_key("GET", &block.key);
        let replies = match self.pool.ask(blocks.iter().map(ask).collect()) {
            Ok(replies) => replies,
            // One by one, so that whatever breaks the connection hides only itself.
            Err(_) if blocks.len() > 1 => {
                return blocks
                    .iter()
                    .flat_map(|block| self.read(std::slice::from_ref(block)))
                    .collect();
            }
            Err(error) => return vec![Err(error)],
        };
        replies
            .into_iter()
            .map(|reply| match reply {
                Reply::Bulk(payload) => Ok(Some(payload)),
                Reply::Nil => Ok(None),
                other => Err(self.odd("GET", &other)),
            })
            .collect()
    }

    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        let ask = ["LENGTH", "KEYTIME", "KEYCUR"].map(|command| Request::of_key(command, key));
        let replies = self.pool.ask(ask.into())?;
        match &replies[..] {
            [Reply::Nil, ..] => Ok(None),
            [Reply::Integer(size), Reply::Integer(time), cursor] => {
                let size = u64::try_from(*size).unwrap_or(u64::MAX);
                self.describe(key, size, Some(*time), cursor)
            }
            [Reply::Integer(_), Reply::Nil, _] => Ok(None),
            [Reply::Integer(_), time, ..] => Err(self.odd("KEYTIME", time)),
            [size, ..] => Err(self.odd("LENGTH", size)),
            [] => Ok(None),
        }
    }

    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        let ask = |key: &BlockKey| Request::of_key("EXISTS", key);
        let replies = self.pool.ask(keys.iter().map(ask).collect())?;
        replies
            .iter()
            .map(|reply| match reply {
                Reply::Integer(number) => Ok(*number != 0),
                other => Err(self.odd("EXISTS", other)),
            })
            .collect()
    }

    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        self.writable()?;
        let times = self.takes_times.load(Ordering::Relaxed);
        let mut replies = self.set(blocks, times)?;
        if times
            && replies
                .iter()
                .any(|r| matches!(r, Reply::Error(m) if m == "Permission denied"))
        {
            self.takes_times.store(false, Ordering::Relaxed);
            replies = self.set(blocks, false)?;
        }
        let mut new = 0;
        for reply in &replies {
            match reply {
                Reply::Bulk(_) => new += 1,
                // It was there already.
                Reply::Nil => {}
                other => return Err(self.odd("SET", other)),
            }
        }
        Ok(new)
    }

    fn flush(&self) -> Result<(), StoreError> {
        // Not the command FLUSH, which empties a namespace. All answers have come.
        Ok(())
    }

    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        self.writable()?;
        let ask = |key: &BlockKey| Request::of_key("DEL", key);
        let replies = self.pool.ask(keys.iter().map(ask).collect())?;
        let mut removed = 0;
        for reply in &replies {
            match reply {
                Reply::Status(_) => removed += 1,
                Reply::Error(message) if message == "Key not found" => {}
                other => return Err(self.odd("DEL", other)),
            }
        }
        Ok(removed)
    }

    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut after = after.map(cursor::to_server);
        loop {
            let page = match self.pool.scan(after.clone(), direction) {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Vec::new()),
                Err(ClientError::Refused { message, .. }) if message == "Invalid key format" => {
                    return Err(StoreError::UnknownCursor);
                }
                Err(error) => return Err(self.failed(error)),
            };
            let blocks: Vec<(BlockKey, ScanEntry)> = page
                .entries
                .into_iter()
                .filter_map(|entry| Some((BlockKey::from_bytes(&entry.key).ok()?, entry)))
                .collect();
            // A page of which nothing is left to show is not the end.
            for chunk in blocks.chunks(limit) {
                let infos = self.listed(chunk)?;
                if !infos.is_empty() {
                    return Ok(infos);
                }
            }
            after = Some(page.cursor);
        }
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let info = self.pool.namespace_info()?;
        let number = |name: &str| {
            let field = info.iter().find(|(field, _)| field == name);
            field.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
        };
        let (payload_bytes, index) = (number("data_size_bytes"), number("index_size_bytes"));
        Ok(StoreStats {
            blocks: number("entries"),
            payload_bytes,
            disk_bytes: payload_bytes + index,
        })
    }

    fn generation(&self) -> Result<u64, StoreError> {
        const CHANGING: [&str; 4] = [
            "entries",
            "data_size_bytes",
            "data_current_id",
            "data_current_offset",
        ];
        let info = self.pool.namespace_info()?;
        // Always the same for the same values, in every process.
        let mut hasher = DefaultHasher::new();
        for (field, value) in info {
            if CHANGING.contains(&field.as_str()) {
                value.hash(&mut hasher);
            }
        }
        Ok(hasher.finish())
    }
}

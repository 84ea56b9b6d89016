//! The key of a block, which is the hash of its payload.

use std::fmt;
use std::str::FromStr;

use bcm_core::digest;
use serde::{Deserialize, Serialize};

/// The key of a block: BLAKE2b-128 of its payload (16 bytes, version-1 flists) or BLAKE2b-256
/// (32 bytes, the newer `.fl` format). Nothing else is a block's key, so every block can be
/// verified by whoever holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BlockKey {
    /// BLAKE2b-128 of the payload.
    Short([u8; 16]),
    /// BLAKE2b-256 of the payload.
    Long([u8; 32]),
}

/// Bytes or text that cannot be a block's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a block's key has 16 or 32 bytes, not {0}")]
pub struct InvalidKey(pub usize);

impl BlockKey {
    /// The key of `payload` in a version-1 flist.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        Self::Short(digest::blake2b_128(payload))
    }

    /// Takes a key as it is on the wire.
    ///
    /// # Errors
    /// It has neither 16 nor 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKey> {
        if let Ok(short) = bytes.try_into() {
            return Ok(Self::Short(short));
        }
        bytes
            .try_into()
            .map(Self::Long)
            .map_err(|_| InvalidKey(bytes.len()))
    }

    /// The key as it is on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }

    /// Whether `payload` hashes to this key.
    #[must_use]
    pub fn verifies(&self, payload: &[u8]) -> bool {
        match self {
            Self::Short(bytes) => digest::blake2b_128(payload) == *bytes,
            Self::Long(bytes) => digest::blake2b_256(payload) == *bytes,
        }
    }

    /// For each key and payload, [whether they belong together](Self::verifies); about twice as fast
    /// for many at once.
    #[must_use]
    pub fn verify_many(blocks: &[(Self, &[u8])]) -> Vec<bool> {
        let (mut of_short, mut of_long) = (Vec::new(), Vec::new());
        for (key, payload) in blocks {
            match key {
                Self::Short(_) => of_short.push(*payload),
                Self::Long(_) => of_long.push(*payload),
            }
        }
        let mut short = digest::blake2b_128_many(&of_short).into_iter();
        let mut long = digest::blake2b_256_many(&of_long).into_iter();
        blocks
            .iter()
            .map(|(key, _)| match key {
                Self::Short(bytes) => short.next().as_ref() == Some(bytes),
                Self::Long(bytes) => long.next().as_ref() == Some(bytes),
            })
            .collect()
    }
}

impl fmt::Display for BlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digest::to_hex(self.as_bytes()))
    }
}

impl fmt::Debug for BlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlockKey {
    type Err = InvalidKey;
    fn from_str(hex: &str) -> Result<Self, InvalidKey> {
        match digest::from_hex(hex) {
            Some(bytes) => Self::from_bytes(&bytes),
            None => Err(InvalidKey(hex.len() / 2)),
        }
    }
}

impl TryFrom<String> for BlockKey {
    type Error = InvalidKey;
    fn try_from(hex: String) -> Result<Self, InvalidKey> {
        hex.parse()
    }
}

impl From<BlockKey> for String {
    fn from(key: BlockKey) -> String {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lengths_verify_their_own() {
        let short = BlockKey::of(b"payload");
        let long = BlockKey::from_bytes(&digest::blake2b_256(b"payload")).unwrap();
        assert!(short.verifies(b"payload") && long.verifies(b"payload"));
        assert!(!short.verifies(b"other") && !long.verifies(b"other"));
        assert_eq!(long.to_string().parse::<BlockKey>().unwrap(), long);
        assert_eq!(BlockKey::from_bytes(b"foo"), Err(InvalidKey(3)));
    }

    #[test]
    fn many_keys_of_both_lengths_verify_their_own() {
        let payloads: Vec<Vec<u8>> = (0..40).map(|n| vec![n; usize::from(n) * 37]).collect();
        let mut blocks: Vec<(BlockKey, &[u8])> = Vec::new();
        for (n, payload) in payloads.iter().enumerate() {
            let key = match n % 3 {
                0 => BlockKey::Long(digest::blake2b_256(payload)),
                _ => BlockKey::of(payload),
            };
            blocks.push((key, if n % 7 == 1 { b"other" } else { payload }));
        }
        let one_by_one: Vec<bool> = blocks.iter().map(|(k, p)| k.verifies(p)).collect();
        assert!(one_by_one.contains(&true) && one_by_one.contains(&false));
        assert_eq!(BlockKey::verify_many(&blocks), one_by_one);
        assert!(BlockKey::verify_many(&[]).is_empty());
    }
}

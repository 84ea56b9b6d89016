//! From plain text to a block and back, as version-1 flists do it.
//!
//! A file is cut into chunks of [`CHUNK_SIZE`] bytes. The BLAKE2b-128 of a chunk's plain text is
//! its [`ChunkKey`]; the block's payload is the chunk, compressed as raw snappy and encrypted
//! with XXTEA under that key; the payload's BLAKE2b-128 is the [`BlockKey`] it is stored under.
//! Equal chunks become equal blocks, whoever makes them.
//!
//! ```
//! use bcm_hub_sync::block::codec;
//!
//! let (chunk, block) = codec::encode(b"plain text", 1_700_000_000)?;
//! assert_eq!(chunk.hash, *block.key());
//! assert_eq!(codec::decode(&chunk, block.payload())?, b"plain text");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use bcm_core::digest;
use bytes::Bytes;

use crate::block::{BlockKey, snappy};
use crate::store::{RefusedBlock, VerifiedBlock};

/// Bytes of plain text in every chunk of a file but the last, which may be shorter.
pub const CHUNK_SIZE: usize = 512 * 1024;

/// What a chunk is encrypted with: the BLAKE2b-128 of its plain text. Whoever has it and the
/// block can read the chunk, so it does not show itself in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkKey(pub [u8; 16]);

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How an flist names one chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The block that holds it.
    pub hash: BlockKey,
    /// What decrypts the block, and what its plain text has to hash to.
    pub key: ChunkKey,
}

/// A chunk could not be made a block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It is empty: an empty file has no chunks.
    #[error("a chunk has at least one byte")]
    Empty,
    /// It has more than [`CHUNK_SIZE`] bytes.
    #[error("a chunk has at most {CHUNK_SIZE} bytes, not {0}")]
    TooLarge(usize),
    /// Snappy refused it.
    #[error("could not compress a chunk")]
    Compress(#[source] snap::Error),
    /// The payload cannot be a block.
    #[error("the payload cannot be a block")]
    Refused(#[source] RefusedBlock),
}

/// A payload is not the block that an flist says it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Its length cannot be that of an encrypted chunk.
    #[error("block {block}: {size} bytes cannot be an encrypted chunk")]
    Length {
        /// The block.
        block: BlockKey,
        /// Bytes of payload.
        size: usize,
    },
    /// The length word at the end of the decrypted text is wrong: the key is not this block's, or
    /// the payload is damaged.
    #[error("block {block} does not decrypt with its key")]
    Decrypt {
        /// The block.
        block: BlockKey,
    },
    /// The decrypted text is not snappy.
    #[error("block {block} does not decompress")]
    Decompress {
        /// The block.
        block: BlockKey,
        /// What snappy says.
        source: snap::Error,
    },
    /// It says that it decompresses to more than a chunk may have.
    #[error("block {block} decompresses to {size} bytes; a chunk has at most {CHUNK_SIZE}")]
    TooLarge {
        /// The block.
        block: BlockKey,
        /// The size that the compressed text gives.
        size: usize,
    },
    /// The plain text does not hash to the key.
    #[error("block {block}: its plain text does not hash to its key")]
    Mismatch {
        /// The block.
        block: BlockKey,
    },
}

/// Makes the block of a chunk. `timestamp` is in seconds since 1970, as the store keeps it.
///
/// # Errors
/// `plain` is empty or larger than [`CHUNK_SIZE`].
pub fn encode(plain: &[u8], timestamp: u32) -> Result<(ChunkRef, VerifiedBlock), EncodeError> {
    if plain.is_empty() {
        return Err(EncodeError::Empty);
    }
    if plain.len() > CHUNK_SIZE {
        return Err(EncodeError::TooLarge(plain.len()));
    }
    let key = digest::blake2b_128(plain);
    let compressed = snappy::compress(plain).map_err(EncodeError::Compress)?;
    let payload = encrypt(&compressed, &key);
    let block =
        VerifiedBlock::new(Bytes::from(payload), timestamp).map_err(EncodeError::Refused)?;
    let chunk = ChunkRef {
        hash: *block.key(),
        key: ChunkKey(key),
    };
    Ok((chunk, block))
}

/// Reads the chunk that `payload` holds, and proves that it is the one that `chunk` names. Memory
/// is bounded by the payload and [`CHUNK_SIZE`], whatever the payload says.
///
/// # Errors
/// What is wrong with the payload. No input makes it panic.
pub fn decode(chunk: &ChunkRef, payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let block = chunk.hash;
    let compressed = decrypt(payload, &chunk.key.0).map_err(|e| match e {
        Undecryptable::Length => DecodeError::Length {
            block,
            size: payload.len(),
        },
        Undecryptable::LengthWord => DecodeError::Decrypt { block },
    })?;
    let size = snap::raw::decompress_len(&compressed)
        .map_err(|source| DecodeError::Decompress { block, source })?;
    if size > CHUNK_SIZE {
        return Err(DecodeError::TooLarge { block, size });
    }
    let plain = snap::raw::Decoder::new()
        .decompress_vec(&compressed)
        .map_err(|source| DecodeError::Decompress { block, source })?;
    if digest::blake2b_128(&plain) != chunk.key.0 {
        return Err(DecodeError::Mismatch { block });
    }
    Ok(plain)
}

/// XXTEA's magic number.
const DELTA: u32 = 0x9e37_79b9;

enum Undecryptable {
    Length,
    LengthWord,
}

/// Encrypts `text` as little-endian words with its length as the last one.
fn encrypt(text: &[u8], key: &[u8; 16]) -> Vec<u8> {
    let mut words = to_words(text);
    // A chunk's length fits: it is at most CHUNK_SIZE and snappy adds a sixth at most.
    words.push(text.len() as u32);
    xxtea_encrypt(&mut words, &key_words(key));
    to_bytes(&words)
}

fn decrypt(payload: &[u8], key: &[u8; 16]) -> Result<Vec<u8>, Undecryptable> {
    // One word of text and the length are the least.
    if payload.len() < 8 || !payload.len().is_multiple_of(4) {
        return Err(Undecryptable::Length);
    }
    let mut words = to_words(payload);
    xxtea_decrypt(&mut words, &key_words(key));
    let length = words.pop().map_or(0, |length| length as usize);
    let padded = words.len() * 4;
    if length > padded || length + 3 < padded {
        return Err(Undecryptable::LengthWord);
    }
    let mut text = to_bytes(&words);
    text.truncate(length);
    Ok(text)
}

/// `bytes` as little-endian words, the last one filled up with zeros; with room for one more.
fn to_words(bytes: &[u8]) -> Vec<u32> {
    let mut words = Vec::with_capacity(bytes.len() / 4 + 2);
    let whole = bytes.chunks_exact(4);
    let rest = whole.remainder();
    words.extend(whole.map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        words.push(u32::from_le_bytes(last));
    }
    words
}

fn to_bytes(words: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; words.len() * 4];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn key_words(key: &[u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, b) in words.iter_mut().zip(key.chunks_exact(4)) {
        *word = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    }
    words
}

/// XXTEA's mixing function. The two terms that need only `y` come first: each word waits for the
/// `z` before it, so what is not on that path is computed while it waits.
#[inline(always)]
fn mix(z: u32, y: u32, sum: u32, key: u32) -> u32 {
    (((z >> 5) ^ (y << 2)).wrapping_add((y >> 3) ^ (z << 4))) ^ ((sum ^ y).wrapping_add(key ^ z))
}

/// The key words in the order that a round uses them: position `p` takes number `p % 4`.
fn round_key(key: &[u32; 4], sum: u32) -> [u32; 4] {
    let e = (sum >> 2 & 3) as usize;
    [key[e], key[1 ^ e], key[2 ^ e], key[3 ^ e]]
}

fn rounds(words: usize) -> u32 {
    // At most 32: `words` is 2 or more.
    6 + 52 / words as u32
}

fn xxtea_encrypt(words: &mut [u32], key: &[u32; 4]) {
    let count = words.len();
    if count < 2 {
        return;
    }
    let mut sum = 0_u32;
    let mut z = words[count - 1];
    for _ in 0..rounds(count) {
        sum = sum.wrapping_add(DELTA);
        let key = round_key(key, sum);
        let mut word = words[0];
        for p in 0..count - 1 {
            let y = words[p + 1];
            z = word.wrapping_add(mix(z, y, sum, key[p & 3]));
            words[p] = z;
            word = y;
        }
        z = word.wrapping_add(mix(z, words[0], sum, key[(count - 1) & 3]));
        words[count - 1] = z;
    }
}

fn xxtea_decrypt(words: &mut [u32], key: &[u32; 4]) {
    let count = words.len();
    if count < 2 {
        return;
    }
    let mut sum = rounds(count).wrapping_mul(DELTA);
    let mut y = words[0];
    while sum != 0 {
        let key = round_key(key, sum);
        let mut word = words[count - 1];
        for p in (1..count).rev() {
            let z = words[p - 1];
            y = word.wrapping_sub(mix(z, y, sum, key[p & 3]));
            words[p] = y;
            word = z;
        }
        y = word.wrapping_sub(mix(words[count - 1], y, sum, key[0]));
        words[0] = y;
        sum = sum.wrapping_sub(DELTA);
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;

//! The four hash functions that the systems around BCM use, as fixed-size values with hex text.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use md5::Digest as _;
use serde::{Deserialize, Serialize};

/// Text that is not the hex form of a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {digits} hex digits")]
pub struct ParseDigestError {
    text: String,
    digits: usize,
}

/// Writes `bytes` as lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// Reads hex of either case; `None` where `text` is anything else.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let high = (pair[0] as char).to_digit(16)?;
            let low = (pair[1] as char).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        })
        .collect()
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $type:ident, $bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(pub [u8; $bytes]);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&to_hex(&self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = ParseDigestError;
            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                from_hex(text)
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(Self)
                    .ok_or_else(|| ParseDigestError {
                        text: text.chars().take(80).collect(),
                        digits: $bytes * 2,
                    })
            }
        }

        impl TryFrom<String> for $type {
            type Error = ParseDigestError;
            fn try_from(text: String) -> Result<Self, ParseDigestError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(digest: $type) -> String {
                digest.to_string()
            }
        }
    };
}

digest_type!(
    /// An MD5 digest: what a hub gives for each flist. It guards against damage, not against malice.
    Md5,
    16
);
digest_type!(
    /// A SHA-256 digest.
    Sha256,
    32
);
digest_type!(
    /// A SHA-1 digest: what 0-db's challenge log-in uses.
    Sha1,
    20
);

impl Md5 {
    /// The MD5 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(md5::Md5::digest(bytes).into())
    }

    /// The MD5 of all that `reader` gives, read in pieces.
    ///
    /// # Errors
    /// The first read error.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = md5::Md5::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Sha256 {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The SHA-256 of all that `reader` gives, read in pieces.
    ///
    /// # Errors
    /// The first read error.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = Sha256Hasher::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Hashes a stream with SHA-256.
#[derive(Clone, Default)]
pub struct Sha256Hasher(sha2::Sha256);

impl Sha256Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

impl Sha1 {
    /// The SHA-1 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha1::Sha1::digest(bytes).into())
    }
}

/// Hashes a stream with MD5 and SHA-256 at once, for downloads that are checked against one and
/// remembered by the other.
#[derive(Clone)]
pub struct DownloadHasher {
    md5: md5::Md5,
    sha256: sha2::Sha256,
    bytes: u64,
}

impl Default for DownloadHasher {
    fn default() -> Self {
        Self {
            md5: md5::Md5::new(),
            sha256: sha2::Sha256::new(),
            bytes: 0,
        }
    }
}

impl DownloadHasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.md5.update(piece);
        self.sha256.update(piece);
        self.bytes += piece.len() as u64;
    }

    /// The digests and the number of bytes hashed.
    #[must_use]
    pub fn finish(self) -> (Md5, Sha256, u64) {
        (
            Md5(self.md5.finalize().into()),
            Sha256(self.sha256.finalize().into()),
            self.bytes,
        )
    }
}

/// BLAKE2b of `bytes` with a digest of 16 bytes: the key of a version-1 flist's block.
#[must_use]
pub fn blake2b_128(bytes: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(
        blake2b_simd::Params::new()
            .hash_length(16)
            .hash(bytes)
            .as_bytes(),
    );
    digest
}

/// [`blake2b_128`] of each of `inputs`, about twice as fast where the processor can work on
/// several at once.
#[must_use]
pub fn blake2b_128_many(inputs: &[&[u8]]) -> Vec<[u8; 16]> {
    blake2b_many(inputs)
}

/// [`blake2b_256`] of each of `inputs`, as fast as [`blake2b_128_many`].
#[must_use]
pub fn blake2b_256_many(inputs: &[&[u8]]) -> Vec<[u8; 32]> {
    blake2b_many(inputs)
}

/// `N` is at most 64, the longest digest that BLAKE2b makes.
fn blake2b_many<const N: usize>(inputs: &[&[u8]]) -> Vec<[u8; N]> {
    use blake2b_simd::many::{HashManyJob, hash_many};
    let params = {
        let mut params = blake2b_simd::Params::new();
        params.hash_length(N);
        params
    };
    // Long ones first: one that is left at the end has nothing to be worked on with.
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_unstable_by_key(|&index| std::cmp::Reverse(inputs[index].len()));
    let mut jobs: Vec<HashManyJob<'_>> = order
        .iter()
        .map(|&index| HashManyJob::new(&params, inputs[index]))
        .collect();
    hash_many(&mut jobs);
    let mut digests = vec![[0; N]; inputs.len()];
    for (job, index) in jobs.iter().zip(order) {
        digests[index].copy_from_slice(job.to_hash().as_bytes());
    }
    digests
}

/// BLAKE2b of `bytes` with a digest of 32 bytes: the id of a block in the newer `.fl` format.
#[must_use]
pub fn blake2b_256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(
        blake2b_simd::Params::new()
            .hash_length(32)
            .hash(bytes)
            .as_bytes(),
    );
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(Md5::of(b"").to_string(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(
            Sha1::of(b"abc").to_string(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            Sha256::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // The key of an flist's root folder, whose path is the empty string.
        assert_eq!(
            to_hex(&blake2b_128(b"")),
            "cae66941d9efbd404e4d88758ea67670"
        );
    }

    #[test]
    fn many_at_once_are_the_same() {
        let inputs: Vec<Vec<u8>> = [0, 1, 127, 128, 129, 5000, 3, 64, 100_000, 2]
            .iter()
            .map(|length| (0..*length).map(|n| (n % 251) as u8).collect())
            .collect();
        for count in 0..=inputs.len() {
            let slices: Vec<&[u8]> = inputs[..count].iter().map(Vec::as_slice).collect();
            let one_by_one: Vec<_> = slices.iter().map(|input| blake2b_128(input)).collect();
            assert_eq!(blake2b_128_many(&slices), one_by_one);
            let one_by_one: Vec<_> = slices.iter().map(|input| blake2b_256(input)).collect();
            assert_eq!(blake2b_256_many(&slices), one_by_one);
        }
    }

    #[test]
    fn hex_round_trip_and_refusal() {
        assert_eq!(from_hex("00ffA0"), Some(vec![0, 255, 160]));
        assert_eq!(from_hex("0"), None);
        assert_eq!(from_hex("zz"), None);
        assert!("d41d8cd98f00b204e9800998ecf8427".parse::<Md5>().is_err());
        let md5: Md5 = "D41D8CD98F00B204E9800998ECF8427E".parse().unwrap();
        assert_eq!(md5, Md5::of(b""));
        assert_eq!(Md5::of_reader(&b"abc"[..]).unwrap(), Md5::of(b"abc"));
    }
}

//! The recorded data in `tests/fixtures/origin-small`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The folder of the recording.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/origin-small")
}

/// The hub's published tree, as a tar with one folder `users/`.
pub fn users_tar() -> PathBuf {
    folder().join("users.tar")
}

/// One recorded HTTP exchange.
#[derive(Debug, Clone, Deserialize)]
pub struct Exchange {
    /// Always `GET`.
    pub method: String,
    /// The path that was asked for, not percent-encoded.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The headers of the answer that say something about its content.
    pub headers: BTreeMap<String, String>,
    /// The file in `http/` that holds the answer's body.
    pub body: String,
}

impl Exchange {
    /// The bytes of the answer.
    pub fn body(&self) -> Vec<u8> {
        read(&format!("http/{}", self.body))
    }
}

/// Every recorded HTTP exchange, in the order of recording.
pub fn exchanges() -> Vec<Exchange> {
    json("http/index.json")
}

/// One recorded 0-db command.
#[derive(Debug, Clone, Deserialize)]
pub struct Command {
    /// The request's bytes, as hex.
    pub request_hex: String,
    /// The reply's bytes, as hex; none where the reply has more than 6,000.
    pub reply_hex: Option<String>,
    /// How many bytes the reply has.
    pub reply_len: usize,
    /// The command, for people.
    pub command: String,
}

impl Command {
    /// The request's bytes.
    pub fn request(&self) -> Vec<u8> {
        unhex(&self.request_hex)
    }

    /// The reply's bytes, where they were kept.
    pub fn reply(&self) -> Option<Vec<u8>> {
        self.reply_hex.as_deref().map(unhex)
    }
}

/// What a client that did not log in asked the 0-db, in one session.
pub fn public_commands() -> Vec<Command> {
    json("resp/public.json")
}

/// What an administrator asked the 0-db, in one session.
pub fn admin_commands() -> Vec<Command> {
    json("resp/admin.json")
}

/// One block of the recorded 0-db namespace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Block {
    /// The key, as hex.
    pub key: String,
    /// The payload's size in bytes.
    pub size: usize,
    /// When it was stored, in seconds since 1970.
    pub timestamp: u32,
}

impl Block {
    /// The key's bytes.
    pub fn key_bytes(&self) -> Vec<u8> {
        unhex(&self.key)
    }

    /// The payload.
    pub fn payload(&self) -> Vec<u8> {
        read(&format!("blocks/{}", self.key))
    }
}

/// Every block, in the order in which 0-db scans them.
pub fn blocks() -> Vec<Block> {
    json("blocks.json")
}

/// What is known of a recorded flist.
#[derive(Debug, Clone, Deserialize)]
pub struct Flist {
    /// The MD5 of the `.flist` file, as hex.
    pub md5: String,
    /// The keys of its blocks as zflist reports them, each once, as hex, sorted.
    pub chunks: Vec<String>,
    /// How often its files name a block.
    pub chunk_references: u64,
    /// The tree that it was made from.
    pub files: Vec<SourceFile>,
}

/// One file of the tree that an flist was made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct SourceFile {
    /// The path inside the tree, from `/`.
    pub path: String,
    /// `dir`, `file`, `symlink`, `fifo`, `block` or `char`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The permission bits, octal, such as `0o4755`.
    pub mode: String,
    /// The size of a file in bytes.
    pub size: Option<u64>,
    /// The SHA-256 of a file's content, as hex.
    pub sha256: Option<String>,
    /// Where a symbolic link leads.
    pub target: Option<String>,
    /// `MAJOR,MINOR` of a device.
    pub rdev: Option<String>,
}

/// Every recorded flist by `repo/name`.
pub fn flists() -> BTreeMap<String, Flist> {
    json("flists.json")
}

fn read(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The bytes that `hex` writes.
pub fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "odd length: {hex}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

/// `bytes` as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

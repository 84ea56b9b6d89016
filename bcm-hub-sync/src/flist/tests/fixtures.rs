//! The recorded flists, laid out as the hub had them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use tempfile::TempDir;

use crate::flist::{Flist, FlistError, Limits};
use crate::store::memory::MemoryStore;
use crate::store::{BlockStore, VerifiedBlock};

pub(super) const ORIGIN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/origin-small"
);

/// What the recording says of one flist.
#[derive(Debug, Deserialize)]
pub(super) struct Recorded {
    pub(super) md5: String,
    pub(super) chunks: Vec<String>,
    pub(super) chunk_references: usize,
    pub(super) files: Vec<SourceFile>,
}

/// One file of the tree that an flist was made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct SourceFile {
    pub(super) path: String,
    pub(super) mode: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<String>,
    pub(super) target: Option<String>,
    pub(super) rdev: Option<String>,
}

/// The recorded flists by `repository/name`.
pub(super) fn recorded() -> BTreeMap<String, Recorded> {
    let file = File::open(format!("{ORIGIN}/flists.json")).unwrap();
    serde_json::from_reader(file).unwrap()
}

/// The recorded hub's files in a temporary folder.
pub(super) struct Users {
    folder: TempDir,
}

impl Users {
    pub(super) fn unpack() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::open(format!("{ORIGIN}/users.tar")).unwrap();
        tar::Archive::new(file).unpack(folder.path()).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self, flist: &str) -> PathBuf {
        self.folder.path().join("users").join(flist)
    }

    pub(super) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn open(&self, flist: &str) -> Flist {
        open(&self.path(flist), self.scratch()).unwrap()
    }
}

pub(super) fn open(path: &Path, scratch: &Path) -> Result<Flist, FlistError> {
    Flist::open(path, &Limits::default(), scratch)
}

/// All recorded blocks.
pub(super) fn blocks() -> MemoryStore {
    let store = MemoryStore::default();
    for entry in std::fs::read_dir(format!("{ORIGIN}/blocks")).unwrap() {
        let entry = entry.unwrap();
        let key = entry.file_name().to_str().unwrap().parse().unwrap();
        let payload = Bytes::from(std::fs::read(entry.path()).unwrap());
        let block = VerifiedBlock::verify(key, payload, 1).unwrap();
        store.put(&[block]).unwrap();
    }
    store
}

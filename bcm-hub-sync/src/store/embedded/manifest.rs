//! The manifest: which runs there are and how much of the journal they cover.
//!
//! A small text file, replaced atomically. The first line has a CRC-32 of the rest, which is
//! JSON. It says nothing that could not be made again from the journal.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::index::Totals;
use crate::store::StoreError;

pub(super) const FILE_NAME: &str = "manifest";

const TITLE: &str = "BCM block store 1, crc32 ";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) store_id: u64,
    /// Changes when a recovery has cut records off.
    pub(super) epoch: u64,
    /// The runs cover the journal up to this record, all of which is durable.
    pub(super) covered: u64,
    pub(super) blocks: u64,
    pub(super) payload_bytes: u64,
    /// Where the next block was to go after record `covered`.
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// Oldest first.
    pub(super) runs: Vec<String>,
    /// The number of the next run's file.
    pub(super) next_run: u64,
}

/// What tells one version of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

impl Version {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            size: metadata.size(),
        }
    }

    /// `None` where there is no manifest.
    pub(super) fn on_disk(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE_NAME);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("look at", &path)(error)),
        }
    }
}

impl Manifest {
    /// Of an empty store.
    pub(super) fn new(store_id: u64) -> Self {
        Self {
            store_id,
            epoch: 0,
            covered: 0,
            blocks: 0,
            payload_bytes: 0,
            segment: 1,
            offset: 0,
            runs: Vec::new(),
            next_run: 1,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            blocks: self.blocks,
            payload_bytes: self.payload_bytes,
        }
    }

    /// The manifest and its version; `None` where there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<(Self, Version)>, StoreError> {
        let path = folder.join(FILE_NAME);
        let read = || -> io::Result<(String, Version)> {
            let mut file = fs::File::open(&path)?;
            // Of the open file, so that text and version belong together.
            let version = Version::of(&file.metadata()?);
            let mut text = String::new();
            io::Read::read_to_string(&mut file, &mut text)?;
            Ok((text, version))
        };
        match read() {
            Ok((text, version)) => match Self::parse(&text) {
                Some(manifest) => Ok(Some((manifest, version))),
                None => {
                    let what = "it is not what was written";
                    Err(StoreError::damaged(&path, 0, what))
                }
            },
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                io::ErrorKind::InvalidData => Err(StoreError::damaged(&path, 0, "it is not text")),
                _ => Err(StoreError::io("read", &path)(error)),
            },
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (title, json) = text.split_once('\n')?;
        let crc = u32::from_str_radix(title.strip_prefix(TITLE)?, 16).ok()?;
        if crc != crc32fast::hash(json.as_bytes()) {
            return None;
        }
        let manifest: Self = serde_json::from_str(json).ok()?;
        let plain = |name: &String| !name.contains('/');
        manifest.runs.iter().all(plain).then_some(manifest)
    }

    /// Replaces the manifest on disk; durable when it returns.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(FILE_NAME);
        let json = serde_json::to_string_pretty(self)
            .map_err(io::Error::other)
            .map_err(StoreError::io("write", &path))?;
        let crc = crc32fast::hash(json.as_bytes());
        let text = format!("{TITLE}{crc:08x}\n{json}");
        super::write_atomically(&path, text.as_bytes())
    }
}

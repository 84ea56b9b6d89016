//! How far the scan of each upstream got, in `hub/scan.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use bcm_core::atomic_file;
use bcm_core::digest::{from_hex, to_hex};
use serde::{Deserialize, Serialize};

use super::super::error::SyncError;
use super::super::state::StateError;
use crate::block::BlockKey;

/// The format that this version writes.
const VERSION: u32 = 1;

/// What is remembered. Losing it costs a scan, and no block.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    version: u32,
    /// By the 0-db's address.
    sources: BTreeMap<String, Source>,
    /// Blocks that a scan listed and that could not be had, to be tried again.
    pub(super) pending: Vec<BlockKey>,
    /// What is wrong with the file, where it could not be read.
    #[serde(skip)]
    pub(super) damaged: Option<String>,
}

/// What is remembered of one 0-db.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    /// Where its scan goes on, in hex; from the beginning without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// Whether a scan reached the end since it began.
    #[serde(default)]
    pub(super) complete: bool,
    /// How many entries were listed since the beginning.
    #[serde(default)]
    pub(super) seen: u64,
}

impl Source {
    pub(super) fn cursor(&self) -> Option<Vec<u8>> {
        from_hex(self.cursor.as_deref()?)
    }

    pub(super) fn set_cursor(&mut self, cursor: &[u8]) {
        self.cursor = Some(to_hex(cursor));
    }
}

impl Memory {
    /// Reads `path`; knows nothing where it is not there or damaged.
    pub(super) fn load(path: &Path) -> Result<Self, SyncError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new(None)),
            Err(error) => return Err(SyncError::io("read", path, error)),
        };
        Ok(match serde_json::from_slice::<Self>(&text) {
            Ok(memory) if memory.version == VERSION => memory,
            Ok(memory) => Self::new(Some(format!("its format is {}", memory.version))),
            Err(error) => Self::new(Some(error.to_string())),
        })
    }

    fn new(damaged: Option<String>) -> Self {
        Self {
            version: VERSION,
            damaged,
            ..Self::default()
        }
    }

    pub(super) fn source(&mut self, name: &str) -> &mut Source {
        self.sources.entry(name.to_owned()).or_default()
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), SyncError> {
        let text = serde_json::to_vec_pretty(self).map_err(StateError::Format)?;
        atomic_file::write(path, &text, 0o644).map_err(StateError::Write)?;
        Ok(())
    }
}

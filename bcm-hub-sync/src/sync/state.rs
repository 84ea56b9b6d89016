//! What a sync remembers, in `hub/state.json`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file::{self, AtomicFileError};
use bcm_core::names::RepoName;
use serde::{Deserialize, Serialize};

use super::report::Summary;
use crate::catalog::diff::Memory;
use crate::catalog::{Item, Published};

/// The format that this version writes.
pub const VERSION: u32 = 1;

/// What a sync remembers. Losing it costs no data: the next sync compares every published flist
/// with upstream again. Times are in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The format.
    pub version: u32,
    /// The repositories that upstream marks as official.
    #[serde(default)]
    pub official: BTreeSet<RepoName>,
    /// The hub that the catalogue came from last.
    #[serde(default)]
    pub upstream: Option<String>,
    /// When a sync last ran to its end, whatever came of it.
    #[serde(default)]
    pub last_attempt: Option<i64>,
    /// When a sync last ran to its end with nothing refused and nothing missing.
    #[serde(default)]
    pub last_success: Option<i64>,
    /// How many blocks the store held then; fewer means that blocks were lost.
    #[serde(default)]
    pub blocks: Option<u64>,
    /// What the last sync did.
    #[serde(default)]
    pub last_report: Option<Summary>,
    /// How often the tree was changed, by which a snapshot knows whether it is of the tree as it is.
    #[serde(default)]
    pub changes: u64,
    /// The snapshot that was restored; syncs wait until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What else was published: what is not as it says was changed by somebody else. `None` where
    /// an earlier version wrote the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// What an operator published, changed or removed since this is no mirror any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub own: BTreeSet<Item>,
    /// The published flists and the tombstones.
    #[serde(flatten)]
    pub memory: Memory,
}

/// A state file and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The state; an empty one where there was none or it could not be read.
    pub state: State,
    /// Set when the file is damaged: what is wrong with it.
    pub damaged: Option<String>,
}

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// It is there, but cannot be read.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be written.
    #[error("could not save what the sync remembers")]
    Write(#[from] AtomicFileError),
    /// It could not be put into JSON.
    #[error("could not put what the sync remembers into JSON")]
    Format(#[source] serde_json::Error),
    /// A newer version of this program wrote it. Nothing is lost by removing it but the
    /// tombstones' age.
    #[error(
        "{} has the format {version}, and this version knows {VERSION}: use the newer version, or \
         remove the file to compare everything again", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
}

impl State {
    /// Reads the state file `path`. One that is not there or damaged is an empty one: the tree
    /// itself says what is published.
    ///
    /// # Errors
    /// It cannot be read, or comes from a newer version.
    pub fn load(path: &Path) -> Result<Loaded, StateError> {
        let loaded = |state, damaged| Ok(Loaded { state, damaged });
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return loaded(Self::new(), None);
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(StateError::Io { path, source });
            }
        };
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        match serde_json::from_slice(&text) {
            Ok(Version { version }) if version > VERSION => {
                let path = path.to_owned();
                return Err(StateError::Newer { path, version });
            }
            Ok(_) => {}
            Err(error) => return loaded(Self::new(), Some(error.to_string())),
        }
        match serde_json::from_slice(&text) {
            Ok(state) => loaded(state, None),
            Err(error) => loaded(Self::new(), Some(error.to_string())),
        }
    }

    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: VERSION,
            ..Self::default()
        }
    }

    /// Writes the state file `path`, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), StateError> {
        let text = serde_json::to_vec_pretty(self).map_err(StateError::Format)?;
        Ok(atomic_file::write(path, &text, 0o644)?)
    }

    /// Whether anything is remembered as published.
    #[must_use]
    pub fn names_anything(&self) -> bool {
        let others = self.published.as_ref();
        !self.memory.flists.is_empty() || others.is_some_and(|others| !others.is_empty())
    }

    /// Whether `item` is remembered as published.
    pub(crate) fn names(&self, item: &Item) -> bool {
        let others = self.published.as_ref();
        others.is_some_and(|others| others.get(item).is_some())
            || matches!(item, Item::Entry(place) if self.memory.flists.contains_key(place))
    }

    /// Forgets that `item` was published.
    pub(crate) fn forget(&mut self, item: &Item) {
        if let Item::Entry(place) = item {
            self.memory.flists.remove(place);
        }
        if let Some(published) = &mut self.published {
            published.set(item.clone(), None);
        }
    }

    /// Remembers of `item` what `before` does, for it could not be published anew. So it is looked
    /// at again, and where it is missing it stays known that it is.
    pub(crate) fn keep_as_before(&mut self, item: &Item, before: &Self) {
        if let Item::Entry(place) = item {
            match before.memory.flists.get(place) {
                Some(record) => self.memory.flists.insert(place.clone(), record.clone()),
                None => self.memory.flists.remove(place),
            };
        }
        if let Some(published) = &mut self.published {
            let named = before.published.as_ref().and_then(|named| named.get(item));
            published.set(item.clone(), named.cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_a_damaged_and_a_newer_file_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let empty = State::load(&path).unwrap();
        assert_eq!((empty.state.version, empty.damaged), (VERSION, None));
        for damaged in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"version": 1, "official": ["../x"]}"#,
        ] {
            fs::write(&path, damaged).unwrap();
            let loaded = State::load(&path).unwrap();
            assert!(loaded.damaged.is_some(), "{damaged:?}");
            assert_eq!(loaded.state, empty.state);
        }
        fs::write(&path, r#"{"version": 2, "flists": "something new"}"#).unwrap();
        let error = State::load(&path).unwrap_err();
        assert!(matches!(error, StateError::Newer { version: 2, .. }));
    }

    #[test]
    fn it_round_trips_and_says_what_is_official() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut state = State::new();
        state.official.insert("tf-zos".parse().unwrap());
        state.last_success = Some(7);
        let item = Item::try_from("a/tags/b".to_owned()).unwrap();
        state.memory.tombstones.insert(item, 5);
        state.save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap().state, state);
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["official"], serde_json::json!(["tf-zos"]));
        assert_eq!(json["tombstones"], serde_json::json!({"a/tags/b": 5}));
    }
}

//! What was left out, by name.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// How many are kept by name; a tree that fails as a whole does not fill the memory.
const NAMED: usize = 100;

/// Paths that an operation left out: how many there were, and the first 100 with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub first: Vec<SkippedPath>,
}

/// One path that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedPath {
    /// The path.
    pub path: PathBuf,
    /// Why, for people.
    pub reason: String,
}

impl Skipped {
    /// Whether nothing was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn add(&mut self, path: &Path, reason: impl Into<String>) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(SkippedPath {
                path: path.to_owned(),
                reason: reason.into(),
            });
        }
    }
}

//! What a verification found.

use serde::Serialize;

use crate::block::BlockKey;
use crate::catalog::{FlistRef, Item};

/// How many of each kind are named; of further ones only the number is kept.
pub const MAX_NAMED: usize = 100;

/// How many there are, and the first [`MAX_NAMED`] of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            count: 0,
            first: Vec::new(),
        }
    }
}

impl<T> Listed<T> {
    pub(super) fn add(&mut self, one: T) {
        self.count += 1;
        if self.first.len() < MAX_NAMED {
            self.first.push(one);
        }
    }
}

/// A block that is not what its key says, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedBlock {
    /// The block.
    pub key: BlockKey,
    /// What is wrong with it.
    pub reason: String,
}

/// A published flist that is damaged, gone or incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedFlist {
    /// Which.
    pub place: FlistRef,
    /// What is wrong with it.
    pub reason: String,
    /// How many references lead to a block that is missing or damaged.
    pub blocks: u64,
}

/// A link, a tag or a repository that is gone or not as it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedName {
    /// Which.
    pub item: Item,
    /// What is wrong with it.
    pub reason: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Blocks that were hashed.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Blocks that are damaged.
    pub damaged_blocks: Listed<DamagedBlock>,
    /// Damaged or missing copies that were made again from a good one, where that was asked for.
    pub mended_blocks: u64,
    /// Copies that a replica lacks and another has, those that were made since not counted.
    pub missing_copies: u64,
    /// How many damaged blocks were removed, where that was asked for.
    pub removed_blocks: u64,
    /// Flists that were checked.
    pub flists: u64,
    /// Flists that are damaged, gone, or lack blocks.
    pub damaged_flists: Listed<DamagedFlist>,
    /// Those of them that are damaged themselves or gone, all of them.
    #[serde(skip)]
    pub(crate) broken: Vec<FlistRef>,
    /// Links, links to tags, tags and repositories that are gone or not as the last sync or the last
    /// restoring of a snapshot published them.
    pub damaged_names: Listed<DamagedName>,
    /// What of all that was published is gone.
    #[serde(skip)]
    pub(crate) gone: Vec<Item>,
    /// Links and links to tags that were followed, those in tags included.
    pub links: u64,
    /// Tags.
    pub tags: u64,
    /// Links that lead nowhere, as upstream's own do. Not damage. One that leads to something that
    /// was published and is gone is not among them: what is gone is listed as damaged.
    pub dangling: Listed<Item>,
    /// What else is worth knowing.
    pub notes: Listed<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl VerifyReport {
    /// Whether nothing is damaged or missing; what was mended is not.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged_blocks.count == 0
            && self.damaged_flists.count == 0
            && self.damaged_names.count == 0
            && self.missing_copies == 0
    }
}

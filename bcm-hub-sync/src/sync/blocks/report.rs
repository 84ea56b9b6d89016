//! What came of a fetch.

use serde::Serialize;

use crate::block::BlockKey;
use crate::store::StoreError;
use crate::zdb::ZdbAddress;
use crate::zdb::client::ClientError;

/// How many examples a [`Sample`] keeps.
const EXAMPLES: usize = 20;

/// How many there are, and the first few of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample<T> {
    /// How many.
    pub count: u64,
    /// The first 20.
    pub first: Vec<T>,
}

impl<T> Default for Sample<T> {
    fn default() -> Self {
        Self {
            count: 0,
            first: Vec::new(),
        }
    }
}

impl<T> Sample<T> {
    pub(super) fn add(&mut self, example: T) {
        self.count += 1;
        if self.first.len() < EXAMPLES {
            self.first.push(example);
        }
    }
}

/// A block that a source gave and that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedReply {
    /// The block.
    pub key: BlockKey,
    /// Who gave it.
    pub source: ZdbAddress,
    /// What is wrong with it.
    pub reason: String,
}

/// What one source did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Which it is.
    pub address: ZdbAddress,
    /// Good blocks that it gave.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys that it does not have.
    pub absent: u64,
    /// Answers of it that were refused.
    pub refused: u64,
    /// How often a connection failed and was made again.
    pub failures: u64,
    /// Why it was given up, where it was.
    pub down: Option<String>,
}

/// What came of a fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FetchReport {
    /// Blocks that were stored.
    pub fetched: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Wanted blocks that nobody gave, for whatever reason.
    pub missing: u64,
    /// Of these, those that no source has.
    pub absent: Sample<BlockKey>,
    /// Of these, those that a source that is down may have.
    pub unanswered: Sample<BlockKey>,
    /// Answers that were refused. The block may have come from another source.
    pub refused: Sample<RefusedReply>,
    /// Each source, in the order of the options.
    pub sources: Vec<SourceReport>,
}

impl FetchReport {
    pub(super) fn new(sources: &[ZdbAddress]) -> Self {
        Self {
            sources: sources
                .iter()
                .map(|address| SourceReport {
                    address: address.clone(),
                    blocks: 0,
                    bytes: 0,
                    absent: 0,
                    refused: 0,
                    failures: 0,
                    down: None,
                })
                .collect(),
            ..Self::default()
        }
    }

    pub(super) fn refuse(&mut self, key: BlockKey, source: usize, reason: String) {
        if let Some(source) = self.sources.get_mut(source) {
            source.refused += 1;
            let source = source.address.clone();
            self.refused.add(RefusedReply {
                key,
                source,
                reason,
            });
        }
    }
}

/// A fetch did not come to its end. What was stored before is kept and flushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// There is nobody to ask.
    #[error("there is no 0-db to fetch blocks from")]
    NoSource,
    /// Nobody answers.
    #[error("{}", if *count == 1 { "the 0-db that blocks come from is down".to_owned() }
        else { format!("all {count} 0-dbs that blocks come from are down") })]
    AllSourcesDown {
        /// How many there are.
        count: usize,
        /// Why the last of them was given up.
        source: Box<ClientError>,
        /// What was done until then.
        report: Box<FetchReport>,
    },
    /// The store took no more.
    #[error("could not store blocks")]
    Store {
        /// Why.
        source: StoreError,
        /// What was done until then.
        report: Box<FetchReport>,
    },
    /// Somebody asked to stop.
    #[error("the fetch of blocks was cancelled")]
    Cancelled {
        /// What was done until then.
        report: Box<FetchReport>,
    },
}

impl FetchError {
    /// What was done until it ended.
    #[must_use]
    pub fn report(&self) -> Option<&FetchReport> {
        match self {
            Self::NoSource => None,
            Self::AllSourcesDown { report, .. }
            | Self::Store { report, .. }
            | Self::Cancelled { report } => Some(report),
        }
    }
}

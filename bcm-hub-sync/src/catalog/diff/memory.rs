//! What a mirror remembers from one comparison to the next.

use std::collections::BTreeMap;

use bcm_core::digest::Md5;
use serde::{Deserialize, Serialize};

use crate::catalog::{FlistRef, Item};

/// What was known of an flist when it was last verified against upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlistRecord {
    /// Upstream's MD5.
    pub md5: Md5,
    /// The size as upstream lists it.
    pub listed_size: String,
    /// The time of modification that upstream lists, in seconds since 1970.
    pub updated: i64,
    /// When upstream listed it so, in seconds since 1970 by upstream's clock.
    pub listed_at: i64,
    /// When the MD5 was last compared, in seconds since 1970 by this machine's clock.
    pub checked: i64,
    /// The size of the published file in bytes.
    pub file_size: u64,
    /// The MD5 of the published file: upstream's, or another one when it was rewritten.
    pub file_md5: Md5,
    /// In what form it was published: `verbatim`, or which backend it was rewritten to.
    pub form: String,
    /// Whether all its blocks were in the store when it was published.
    pub blocks: bool,
}

/// A form that no sync makes: what is remembered in it is looked at again by the next one.
pub(crate) const NO_FORM: &str = "unknown";

/// The form of what an operator published. No sync makes it either.
pub(crate) const OWN_FORM: &str = "published here";

impl FlistRecord {
    /// Makes the next sync look at the flist again, without forgetting what was published.
    pub(crate) fn doubt(&mut self) {
        NO_FORM.clone_into(&mut self.form);
    }
}

/// What a mirror remembers from one comparison to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The published flists.
    #[serde(default)]
    pub flists: BTreeMap<FlistRef, FlistRecord>,
    /// Since when upstream does not list what is still held, in seconds since 1970.
    #[serde(default)]
    pub tombstones: BTreeMap<Item, i64>,
}

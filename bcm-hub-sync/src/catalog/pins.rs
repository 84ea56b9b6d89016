//! What is kept here whatever upstream deletes.

use std::collections::BTreeSet;

use bcm_core::patterns::{InvalidPattern, Patterns};

use super::{Catalog, Item};

/// Globs over repositories (`tf-zos`) and what is in them (`tf-zos/*.flist`, `tf-zos/tags/v3*`).
#[derive(Debug, Clone, Default)]
pub struct Pins {
    patterns: Option<Patterns>,
}

impl Pins {
    /// Reads globs; none pins nothing.
    ///
    /// # Errors
    /// The first that is not a glob.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, InvalidPattern> {
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let patterns = Patterns::new(patterns.iter().map(AsRef::as_ref))?;
        Ok(Self {
            patterns: Some(patterns),
        })
    }

    /// What of `local` is pinned.
    #[must_use]
    pub fn of(&self, local: &Catalog) -> BTreeSet<Item> {
        let Some(patterns) = &self.patterns else {
            return BTreeSet::new();
        };
        let repositories = local.repositories.keys().cloned().map(Item::Repository);
        let entries = local.entries().map(|(place, _)| Item::from(place));
        let tags = local.tags().map(|(place, _)| Item::from(place));
        let all = repositories.chain(entries).chain(tags);
        all.filter(|item| patterns.matches(&item.to_string()))
            .collect()
    }
}

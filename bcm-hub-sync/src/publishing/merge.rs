//! One flist of several that are published.

use std::path::PathBuf;

use super::session::Session;
use super::{Published, PublishingError};
use crate::catalog::{FlistRef, Item};
use crate::flist::{self, Backend};
use crate::store::BlockStore;
use crate::sync::restoring::{missing_blocks, scratch};

/// Each source is open while they are merged.
const MAX_SOURCES: usize = 32;

impl Session {
    /// Publishes `sources`, or what they lead to, as one flist `place`: folders are joined, and of
    /// everything else the last source's stays. `backend` is where nodes find the blocks of all of them;
    /// without it, the sources' own is kept where they agree on it.
    ///
    /// # Errors
    /// A source is not there or lacks blocks, there are none or too many, and as for [`Session::publish`].
    pub fn merge(
        &mut self,
        sources: &[FlistRef],
        place: &FlistRef,
        store: &dyn BlockStore,
        backend: Option<&Backend>,
        replace: bool,
    ) -> Result<Published, PublishingError> {
        if sources.is_empty() || sources.len() > MAX_SOURCES {
            return Err(PublishingError::Refused {
                what: place.to_string(),
                reason: format!("it has to be made of 1 to {MAX_SOURCES} flists"),
            });
        }
        let replaced = self.may_take(&Item::Entry(place.clone()), replace)?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for source in sources {
            let path = self.path_of(&self.follow(source)?);
            // Read to its end, which proves that its tree is one.
            let missing = missing_blocks(&self.layout, &path, &self.limits, store)?;
            let missing = missing.map_err(|reason| PublishingError::Refused {
                what: source.to_string(),
                reason: reason.replace(&path.display().to_string(), "it"),
            })?;
            if missing.count > 0 {
                return Err(PublishingError::BlocksMissing {
                    what: source.to_string(),
                    count: missing.count,
                    first: missing.first,
                });
            }
            paths.push(path);
        }
        let scratch = scratch(&self.layout);
        flist::merge(&paths, &self.new_file(), backend, &self.limits, &scratch)
            .map_err(PublishingError::Flist)?;
        let staged = self.stage(place, &place.to_string(), store)?;
        self.publish_staged(place, staged, replaced)
    }
}

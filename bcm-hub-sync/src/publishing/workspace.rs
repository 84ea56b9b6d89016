//! A folder for what is not published yet.

use std::path::{Path, PathBuf};

use super::PublishingError;
use crate::layout::Layout;
use crate::scratch::Scratch;

/// A folder in the data folder, for archives that are unpacked and for uploads. It goes when it is
/// dropped; what a process that was killed leaves is removed by the next that makes one.
#[derive(Debug)]
pub struct Workspace {
    scratch: Scratch,
}

impl Workspace {
    /// Makes one.
    ///
    /// # Errors
    /// The hub's folder cannot be written.
    pub fn new(layout: &Layout) -> Result<Self, PublishingError> {
        let hub = layout.hub();
        let scratch = Scratch::open(&hub, None);
        let scratch = scratch.map_err(PublishingError::io("make a folder in", &hub))?;
        Ok(Self { scratch })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        // One that was opened without another place has one here.
        self.scratch.here().unwrap_or(Path::new(""))
    }

    /// Makes the folder `name` in it, which must not be there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, PublishingError> {
        let path = self.path().join(name);
        std::fs::create_dir(&path).map_err(PublishingError::io("make the folder", &path))?;
        Ok(path)
    }
}

//! Folders in which flists are unpacked while they are looked into.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::lock::FolderLock;
use tempfile::TempDir;

use crate::flist::FlistError;
use crate::sync::is_full;

const PREFIX: &str = ".scratch-";
const LOCK: &str = "lock";

/// A folder of its own for one run, and one elsewhere for when the disk of the first is full.
#[derive(Debug)]
pub(crate) struct Scratch {
    here: Option<Place>,
    elsewhere: Option<PathBuf>,
}

#[derive(Debug)]
struct Place {
    folder: TempDir,
    /// Tells the next run that this one is still at work.
    _lock: Option<FolderLock>,
}

impl Scratch {
    /// Makes a folder in `hub`, after removing what runs that were killed left there. Where the disk
    /// has no room for that, there has to be `elsewhere`.
    pub(crate) fn open(hub: &Path, elsewhere: Option<&Path>) -> io::Result<Self> {
        sweep(hub);
        let elsewhere = elsewhere.map(Path::to_owned);
        let folder = match tempfile::Builder::new().prefix(PREFIX).tempdir_in(hub) {
            Ok(folder) => folder,
            Err(_) if elsewhere.is_some() => {
                return Ok(Self {
                    here: None,
                    elsewhere,
                });
            }
            Err(error) => return Err(error),
        };
        // A disk without room for the lock's few bytes has none for an flist either.
        let _lock = FolderLock::acquire(&folder.path().join(LOCK)).ok();
        let here = Some(Place { folder, _lock });
        Ok(Self { here, elsewhere })
    }

    /// The folder of its own.
    pub(crate) fn here(&self) -> Option<&Path> {
        self.here.as_ref().map(|here| here.folder.path())
    }

    /// Does `look` with a folder; once more elsewhere, where the disk turns out to be full.
    pub(crate) fn with<T>(
        &self,
        mut look: impl FnMut(&Path) -> Result<T, FlistError>,
    ) -> Result<T, FlistError> {
        let first = self.here.as_ref().map(|here| look(here.folder.path()));
        match (first, &self.elsewhere) {
            (Some(Err(error)), Some(elsewhere)) if !error.is_refusal() && is_full(&error) => {
                look(elsewhere)
            }
            (None, Some(elsewhere)) => look(elsewhere),
            (Some(result), _) => result,
            // `open` does not make such a thing.
            (None, None) => Err(FlistError::Io {
                operation: "find room for unpacking",
                path: PathBuf::new(),
                source: io::ErrorKind::StorageFull.into(),
            }),
        }
    }
}

/// Removes the folders of runs that are over. What cannot be removed is no reason not to go on.
fn sweep(hub: &Path) {
    let Ok(entries) = fs::read_dir(hub) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Older versions left folders of the second kind.
        if !name.starts_with(PREFIX) && !name.starts_with(".verify-") {
            continue;
        }
        let path = entry.path();
        if !FolderLock::is_held(&path.join(LOCK)) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_in_use_is_not() {
        let hub = tempfile::tempdir().unwrap();
        for old in [".scratch-old", ".verify-old"] {
            fs::create_dir(hub.path().join(old)).unwrap();
            fs::write(hub.path().join(old).join("db"), "x").unwrap();
        }
        fs::create_dir(hub.path().join("users")).unwrap();
        let first = Scratch::open(hub.path(), None).unwrap();
        let second = Scratch::open(hub.path(), None).unwrap();
        assert_eq!(fs::read_dir(hub.path()).unwrap().count(), 3);
        drop((first, second));
        assert_eq!(fs::read_dir(hub.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_is_gone_around() {
        let (hub, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let full = |path: &Path| FlistError::Io {
            operation: "write",
            path: path.to_owned(),
            source: io::ErrorKind::StorageFull.into(),
        };
        let scratch = Scratch::open(hub.path(), Some(other.path())).unwrap();
        let look = |path: &Path| match path.starts_with(hub.path()) {
            true => Err(full(path)),
            false => Ok(path.to_owned()),
        };
        assert_eq!(scratch.with(look).unwrap(), other.path());
        let alone = Scratch::open(hub.path(), None).unwrap();
        assert!(alone.with(look).is_err());
    }
}

//! Files that are put into a folder of the user's, without losing what somebody changed there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic_file::{self, AtomicFileError};
use serde::Serialize;

/// A file for a folder.
#[derive(Debug, Clone, Copy)]
pub struct FolderFile<'a> {
    /// Its name there.
    pub name: &'a str,
    /// What is in it.
    pub content: &'a [u8],
    /// Permission bits, where it is made or replaced.
    pub mode: u32,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there.
    Created,
    /// It is as it was.
    Unchanged,
    /// It was different.
    Replaced,
}

/// The files could not be put into the folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// What is there cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder cannot be made.
    #[error("could not create {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Files are there that are different.
    #[error("{} holds files that are different: {}", dir.display(), names.join(", "))]
    Different {
        /// The folder.
        dir: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicFileError),
}

/// What writing `files` into `dir` would do to each.
///
/// # Errors
/// A file that is there cannot be read.
pub fn plan(dir: &Path, files: &[FolderFile<'_>]) -> Result<Vec<Change>, WriteError> {
    let change = |file: &FolderFile<'_>| {
        let path = dir.join(file.name);
        match fs::read(&path) {
            Ok(there) if there == file.content => Ok(Change::Unchanged),
            Ok(_) => Ok(Change::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Change::Created),
            Err(source) => Err(WriteError::Read { path, source }),
        }
    };
    files.iter().map(change).collect()
}

/// Writes `files` into `dir`, which is made where it is not there. Nothing is written when a file of
/// the same name is there with something else in it, unless they are to be `replaced`. Other files
/// are left alone.
///
/// # Errors
/// See [`WriteError`].
pub fn write(
    dir: &Path,
    files: &[FolderFile<'_>],
    replace: bool,
) -> Result<Vec<Change>, WriteError> {
    let changes = plan(dir, files)?;
    let different: Vec<String> = files
        .iter()
        .zip(&changes)
        .filter(|(_, change)| **change == Change::Replaced)
        .map(|(file, _)| file.name.to_owned())
        .collect();
    if !replace && !different.is_empty() {
        return Err(WriteError::Different {
            dir: dir.to_owned(),
            names: different,
        });
    }
    fs::create_dir_all(dir).map_err(|source| WriteError::Folder {
        path: dir.to_owned(),
        source,
    })?;
    for (file, change) in files.iter().zip(&changes) {
        if *change != Change::Unchanged {
            atomic_file::write(&dir.join(file.name), file.content, file.mode)?;
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_changed_by_hand_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let file = |name, content, mode| FolderFile {
            name,
            content,
            mode,
        };
        let files = [file("a", b"a".as_slice(), 0o600), file("b", b"b", 0o644)];
        let changes = write(&dir, &files, false).unwrap();
        assert_eq!(changes, [Change::Created; 2]);
        let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("b")), (0o600, 0o644));
        fs::write(dir.join("b"), "mine").unwrap();
        fs::write(dir.join("notes"), "mine").unwrap();
        let refused = write(&dir, &files, false).unwrap_err();
        assert!(refused.to_string().ends_with("different: b"), "{refused}");
        assert_eq!(fs::read_to_string(dir.join("b")).unwrap(), "mine");
        let changes = write(&dir, &files, true).unwrap();
        assert_eq!(changes, [Change::Unchanged, Change::Replaced]);
        let changes = write(&dir, &files, false).unwrap();
        assert_eq!(changes, [Change::Unchanged; 2]);
        assert_eq!(fs::read_to_string(dir.join("notes")).unwrap(), "mine");
    }
}

//! Files that are either the old ones or the new ones, whatever happens in between.
//!
//! The new content goes to a temporary name in the same folder, is synced to disk, renamed over
//! the old name, and the folder is synced: after a power cut one of the two versions is there,
//! whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Removes a file, or a link, where there is one.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} {}", path.display())]
pub struct AtomicFileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl AtomicFileError {
    fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// The error of the operating system, for callers that tell a full disk from the rest.
    #[must_use]
    pub fn io_error(&self) -> &io::Error {
        &self.source
    }
}

/// Writes `content` to `path`, replacing what is there, with permission bits `mode`.
///
/// # Errors
/// The step that failed; the old file is then untouched and the temporary file removed.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), AtomicFileError> {
    let temporary = temporary_name(path);
    let result = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)
            .map_err(|e| AtomicFileError::new("create", &temporary, e))?;
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(|e| AtomicFileError::new("write", &temporary, e))?;
        fs::rename(&temporary, path).map_err(|e| AtomicFileError::new("replace", path, e))
    })();
    if result.is_err() {
        // The first error is the one worth reporting.
        let _ = fs::remove_file(&temporary);
    }
    result?;
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes the names in the folder `path` durable.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_dir(path: &Path) -> Result<(), AtomicFileError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| AtomicFileError::new("sync", path, e))
}

/// `NAME` becomes `.NAME.new`, cut so that it stays a legal file name.
fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut kept = name.len().min(240);
    while !name.is_char_boundary(kept) {
        kept -= 1;
    }
    path.with_file_name(format!(".{}.new", &name[..kept]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_and_sets_the_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write(&path, b"one", 0o644).unwrap();
        write(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        let error = write(&path, b"x", 0o644).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! One writer for each data folder, enforced by a lock that dies with its process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// The lock could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is in use by another process ({holder})", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself: `process 123, since …`.
        holder: String,
    },
    /// The lock file cannot be opened or locked.
    #[error("could not lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A held lock. Dropping it, or the end of the process, gives it back.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the lock file `path`, creating it where it does not exist. Does not wait.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process (or another lock of this one) has it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io_error)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = file.take(200).read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "it did not say which".to_owned(),
                    text => text.to_owned(),
                };
                return Err(LockError::Held {
                    path: path.to_owned(),
                    holder,
                });
            }
            Err(errno) => return Err(io_error(errno.into())),
        }
        // The text is only for people: a full disk, where room is to be made, must not refuse a
        // lock that is held.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(Self { file })
    }

    /// Whether somebody holds the lock file `path` just now. Where that cannot be told, nobody does.
    #[must_use]
    pub fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(path) else {
            return false;
        };
        // Shared, so that two who look do not see each other; it goes with the file.
        let tried = rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared);
        tried == Err(rustix::io::Errno::WOULDBLOCK)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The text is only for people.
        let _ = self.file.set_len(0);
        // Closing gives the lock back, too, but not while a child that was forked just now still
        // has its copy of the file.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/dev/full` cannot be cut, and takes nothing, like a full disk.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_refuses_nobody() {
        let path = Path::new("/dev/full");
        if path.exists() {
            let lock = FolderLock::acquire(path);
            // Another run of this test may have it just now.
            assert!(!matches!(lock, Err(LockError::Io { .. })), "{lock:?}");
        }
    }

    #[test]
    fn the_second_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!FolderLock::is_held(&path));
        let first = FolderLock::acquire(&path).unwrap();
        assert!(FolderLock::is_held(&path));
        let error = FolderLock::acquire(&path).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }));
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        assert!(!FolderLock::is_held(&path));
        FolderLock::acquire(&path).unwrap();
    }
}

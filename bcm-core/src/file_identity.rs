//! What tells one content of a file from another without reading it.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::Stat;

/// A point in time as a file system keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds of that second.
    pub nanoseconds: u32,
}

/// What tells one content of a file from another without reading it. The time of change (ctime)
/// cannot be set by anybody, so an edit that keeps size and time of modification shows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// The file system.
    pub device: u64,
    /// The file's number in it.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When the content was changed.
    pub modified: Timestamp,
    /// When content, name count or attributes were changed.
    pub changed: Timestamp,
}

impl FileIdentity {
    /// The identity of what the system answered to a `stat`.
    #[must_use]
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the widths of these fields differ between platforms"
    )]
    pub fn of(stat: &Stat) -> Self {
        let timestamp = |seconds, nanoseconds: u64| Timestamp {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
        };
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: timestamp(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: timestamp(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        }
    }

    /// The identity of an open file.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn of_file(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// The identity of the folder at `path`, or of what a link there leads to.
    ///
    /// # Errors
    /// There is none, or it cannot be looked at.
    pub fn of_folder(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::stat(path)?))
    }
}

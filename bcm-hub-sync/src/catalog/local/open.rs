//! Opens published flists.

use std::fs::File;
use std::io;
use std::path::Path;

use bcm_core::file_identity::FileIdentity;
use bcm_core::names::{EntryName, RepoName};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::folder::FOLDER;

/// Opens the regular file `users/REPOSITORY/NAME` for reading, following no link below `users`.
///
/// # Errors
/// `NotFound` where there is no such regular file; otherwise what the system says.
pub fn open_flist(
    users: &Path,
    repository: &RepoName,
    name: &EntryName,
) -> io::Result<(File, FileIdentity)> {
    let not_regular = |error| match error {
        Errno::LOOP | Errno::NOTDIR | Errno::NXIO => io::ErrorKind::NotFound.into(),
        error => io::Error::from(error),
    };
    let root = rustix::fs::open(users, FOLDER, Mode::empty())?;
    let flags = FOLDER | OFlags::NOFOLLOW;
    let folder = rustix::fs::openat(&root, repository.as_str(), flags, Mode::empty())
        .map_err(not_regular)?;
    // Without NONBLOCK, opening a planted fifo would wait for its writer for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(&folder, name.as_str(), flags, Mode::empty()).map_err(not_regular)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::NotFound.into());
    }
    let identity = FileIdentity::of_file(&file)?;
    Ok((File::from(file), identity))
}

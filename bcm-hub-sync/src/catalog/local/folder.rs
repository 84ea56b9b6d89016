//! Folder handles that never follow a link.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bcm_core::file_identity::FileIdentity;
use bcm_core::names::{EntryName, RepoName};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{FolderStamp, LocalError};

/// What an item of a folder is.
#[derive(Debug)]
pub(super) enum Kind {
    Folder,
    Regular,
    Link(OsString),
    Other,
}

/// An item of a folder.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: OsString,
    pub(super) kind: Kind,
    pub(super) identity: FileIdentity,
}

/// An open folder of the tree.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Folder {
    /// Opens the tree's root, which may itself be reached through links: its place is the
    /// operator's choice. `None` where there is nothing.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, LocalError> {
        Self::opened(
            path.to_owned(),
            rustix::fs::open(path, FOLDER, Mode::empty()),
        )
    }

    /// Opens a folder of this folder; `None` where it is gone, or something else now.
    pub(super) fn open_child(&self, name: &OsStr) -> Result<Option<Self>, LocalError> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        let result = rustix::fs::openat(&self.fd, name, flags, Mode::empty());
        match result {
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(None),
            result => Self::opened(self.path.join(name), result),
        }
    }

    fn opened(path: PathBuf, result: Result<OwnedFd, Errno>) -> Result<Option<Self>, LocalError> {
        match result {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(LocalError::io("open the folder", &path, error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn stamp(&self) -> Result<FolderStamp, LocalError> {
        Ok(FolderStamp {
            path: self.path.clone(),
            identity: FileIdentity::of_file(&self.fd)
                .map_err(|error| LocalError::io("look at", &self.path, error))?,
        })
    }

    /// All items in the order of their names' bytes, which is the order that hubs list them in.
    pub(super) fn items(&self) -> Result<Vec<Item>, LocalError> {
        let failed = |error: Errno| LocalError::io("read the folder", &self.path, error);
        let mut items = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            items.extend(self.item(name)?);
        }
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(items)
    }

    /// One item; `None` where it is gone.
    fn item(&self, name: &CStr) -> Result<Option<Item>, LocalError> {
        let os_name = OsStr::from_bytes(name.to_bytes());
        let failed =
            |operation, error| Err(LocalError::io(operation, &self.path.join(os_name), error));
        let stat = match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return failed("look at", error),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Folder,
            FileType::RegularFile => Kind::Regular,
            FileType::Symlink => match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
                Ok(text) => Kind::Link(OsString::from_vec(text.into_bytes())),
                // Gone, or another kind of thing took its place: the next scan sees it.
                Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                Err(error) => return failed("read the link", error),
            },
            _ => Kind::Other,
        };
        Ok(Some(Item {
            name: os_name.to_owned(),
            kind,
            identity: FileIdentity::of(&stat),
        }))
    }
}

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
    Ok((File::from(file), FileIdentity::of(&stat)))
}

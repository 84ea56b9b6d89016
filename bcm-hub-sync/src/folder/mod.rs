//! Folder handles. Every call names one component below an open folder and follows no link, so
//! whatever is planted in a tree, nothing outside of it is read or touched.

mod write;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bcm_core::file_identity::FileIdentity;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// What is opened as a folder.
pub(crate) const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// The operating system refused something on a folder or on an item in it.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} {}", path.display())]
pub(crate) struct FolderError {
    /// What was tried.
    pub(crate) operation: &'static str,
    /// On what.
    pub(crate) path: PathBuf,
    /// Why it failed.
    pub(crate) source: io::Error,
}

type Result<T> = std::result::Result<T, FolderError>;

/// What there is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Link,
    Folder,
    Other,
}

/// What is known of an item without opening it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) identity: FileIdentity,
}

impl Seen {
    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.identity.size
    }

    /// Time of modification in seconds since 1970.
    pub(crate) fn modified(&self) -> i64 {
        self.identity.modified.seconds
    }
}

/// An item of a folder.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: OsString,
    pub(crate) seen: Seen,
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at `path`, which may itself be reached through links: its place is the
    /// operator's choice. `None` where there is nothing.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        Self::opened(
            path.to_owned(),
            rustix::fs::open(path, FOLDER, Mode::empty()),
        )
    }

    /// As [`Folder::open`], where there has to be one.
    pub(crate) fn open_existing(path: &Path) -> Result<Self> {
        Self::open(path)?.ok_or_else(|| FolderError {
            operation: "open the folder",
            path: path.to_owned(),
            source: Errno::NOENT.into(),
        })
    }

    /// The folder `name` in this one; `None` where there is nothing of that name.
    pub(crate) fn child(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        let name = name.as_ref();
        let flags = FOLDER | OFlags::NOFOLLOW;
        Self::opened(
            self.path.join(name),
            rustix::fs::openat(&self.fd, name, flags, Mode::empty()),
        )
    }

    /// As [`Folder::child`], and `None` too where `name` is something else than a folder.
    pub(crate) fn child_if_folder(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>> {
        match self.child(name) {
            Err(error)
                if matches!(
                    Errno::from_io_error(&error.source),
                    Some(Errno::NOTDIR | Errno::LOOP)
                ) =>
            {
                Ok(None)
            }
            other => other,
        }
    }

    fn opened(path: PathBuf, result: std::result::Result<OwnedFd, Errno>) -> Result<Option<Self>> {
        match result {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(FolderError {
                operation: "open the folder",
                path,
                source: error.into(),
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn failed<T>(
        &self,
        operation: &'static str,
        name: impl AsRef<OsStr>,
        error: Errno,
    ) -> Result<T> {
        Err(FolderError {
            operation,
            path: self.path.join(name.as_ref()),
            source: error.into(),
        })
    }

    /// The identity of this folder itself.
    pub(crate) fn identity(&self) -> Result<FileIdentity> {
        FileIdentity::of_file(&self.fd).map_err(|source| FolderError {
            operation: "look at",
            path: self.path.clone(),
            source,
        })
    }

    /// What there is under `name`.
    pub(crate) fn look(&self, name: impl AsRef<OsStr>) -> Result<Option<Seen>> {
        let name = name.as_ref();
        let stat = match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return self.failed("look at", name, error),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::Directory => Kind::Folder,
            _ => Kind::Other,
        };
        Ok(Some(Seen {
            kind,
            identity: FileIdentity::of(&stat),
        }))
    }

    /// The text of the link `name`; `None` where there is no link.
    pub(crate) fn read_link(&self, name: impl AsRef<OsStr>) -> Result<Option<OsString>> {
        let name = name.as_ref();
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(text) => Ok(Some(OsString::from_vec(text.into_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => self.failed("read the link", name, error),
        }
    }

    /// The names in this folder, in the order of their bytes, which is the order that hubs list
    /// them in.
    pub(crate) fn names(&self) -> Result<Vec<OsString>> {
        let failed = |error| self.failed("read the folder", "", error);
        let mut names = Vec::new();
        let entries = match Dir::read_from(&self.fd) {
            Ok(entries) => entries,
            Err(error) => return failed(error),
        };
        for entry in entries {
            match entry {
                Ok(entry) => match entry.file_name().to_bytes() {
                    b"." | b".." => {}
                    name => names.push(OsStr::from_bytes(name).to_owned()),
                },
                Err(error) => return failed(error),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// All items in the order of [`Folder::names`], without those that vanish meanwhile.
    pub(crate) fn items(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for name in self.names()? {
            if let Some(seen) = self.look(&name)? {
                items.push(Item { name, seen });
            }
        }
        Ok(items)
    }
}

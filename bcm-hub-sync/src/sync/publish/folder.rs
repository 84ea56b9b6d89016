//! Folder handles for writing. Every call names one component below an open folder and follows no
//! link, so whatever is planted in the tree, nothing outside of it is touched.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::PublishError;

/// What there is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    Folder,
    Other,
}

/// What is known of an item without opening it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// Time of modification in seconds since 1970.
    pub(super) modified: i64,
}

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

type Result<T> = std::result::Result<T, PublishError>;

impl Folder {
    /// Opens the folder at `path`, whose place is the operator's choice.
    pub(super) fn open(path: &Path) -> Result<Self> {
        match rustix::fs::open(path, FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Self {
                fd,
                path: path.to_owned(),
            }),
            Err(error) => Err(PublishError::io("open the folder", path, error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn failed<T>(&self, operation: &'static str, name: &str, error: Errno) -> Result<T> {
        Err(PublishError::io(operation, &self.path.join(name), error))
    }

    /// The folder `name` in this one; `None` where there is nothing of that name.
    pub(super) fn child(&self, name: &str) -> Result<Option<Self>> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: self.path.join(name),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => self.failed("open the folder", name, error),
        }
    }

    /// The folder `name` in this one, made where there is none.
    pub(super) fn make_child(&self, name: &str) -> Result<Self> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return self.failed("make the folder", name, error),
        }
        match self.child(name)? {
            Some(child) => Ok(child),
            None => self.failed("open the folder", name, Errno::NOENT),
        }
    }

    /// What there is under `name`.
    pub(super) fn look(&self, name: &str) -> Result<Option<Seen>> {
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
        #[allow(
            clippy::useless_conversion,
            clippy::unnecessary_cast,
            reason = "the widths of these fields differ between platforms"
        )]
        Ok(Some(Seen {
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: stat.st_mtime as i64,
        }))
    }

    /// The text of the link `name`; `None` where there is no link.
    pub(super) fn read_link(&self, name: &str) -> Result<Option<OsString>> {
        match rustix::fs::readlinkat(&self.fd, name, Vec::new()) {
            Ok(text) => Ok(Some(OsString::from_vec(text.into_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => self.failed("read the link", name, error),
        }
    }

    /// Makes the link `name` with `text`, changed at `time` (seconds since 1970).
    pub(super) fn link(&self, name: &str, text: &str, time: i64) -> Result<()> {
        if let Err(error) = rustix::fs::symlinkat(text, &self.fd, name) {
            return self.failed("make the link", name, error);
        }
        self.set_item_time(name, time)
    }

    /// Sets the time of modification of the item `name` itself.
    pub(super) fn set_item_time(&self, name: &str, time: i64) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::utimensat(&self.fd, name, &stamps(time), flags) {
            Ok(()) => Ok(()),
            Err(error) => self.failed("set the time of", name, error),
        }
    }

    /// Sets this folder's own time of modification.
    pub(super) fn set_time(&self, time: i64) -> Result<()> {
        match rustix::fs::futimens(&self.fd, &stamps(time)) {
            Ok(()) => Ok(()),
            Err(error) => self.failed("set the time of", "", error),
        }
    }

    /// Moves `name` to `to_name` in the folder `to`, replacing a file or link that is there.
    pub(super) fn rename(&self, name: &str, to: &Self, to_name: &str) -> Result<()> {
        match rustix::fs::renameat(&self.fd, name, &to.fd, to_name) {
            Ok(()) => Ok(()),
            Err(error) => to.failed("replace", to_name, error),
        }
    }

    /// Lets `name` and `to_name` in the folder `to` change places in one step. `false` where the
    /// file system cannot do that.
    pub(super) fn exchange(&self, name: &str, to: &Self, to_name: &str) -> Result<bool> {
        let flags = RenameFlags::EXCHANGE;
        match rustix::fs::renameat_with(&self.fd, name, &to.fd, to_name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => to.failed("replace", to_name, error),
        }
    }

    /// Removes the file or link `name`, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => self.failed("remove", name, error),
        }
    }

    /// Removes the empty folder `name`, if it is there.
    pub(super) fn remove_folder(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => self.failed("remove the folder", name, error),
        }
    }

    /// Removes `name`, and where it is a folder the files and links in it, but no folders in it.
    pub(super) fn remove_flat(&self, name: &str) -> Result<()> {
        match self.look(name)? {
            None => return Ok(()),
            Some(seen) if seen.kind != Kind::Folder => return self.remove(name),
            Some(_) => {}
        }
        if let Some(child) = self.child(name)? {
            for item in child.names()? {
                child.remove(&item)?;
            }
        }
        self.remove_folder(name)
    }

    /// The names in this folder. A name that is not UTF-8 is an error: nobody made it for us.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let failed = |error| PublishError::io("read the folder", &self.path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(name.to_owned()),
                Err(_) => return Err(failed(Errno::ILSEQ)),
            }
        }
        Ok(names)
    }

    /// Makes the names in this folder durable.
    pub(super) fn sync(&self) -> Result<()> {
        match rustix::fs::fsync(&self.fd) {
            Ok(()) => Ok(()),
            Err(error) => self.failed("sync", "", error),
        }
    }
}

impl PublishError {
    fn io(operation: &'static str, path: &Path, error: Errno) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source: io::Error::from(error),
        }
    }
}

/// Access and modification at `time`, to the second.
fn stamps(time: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: time,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

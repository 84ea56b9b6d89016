//! What changes a folder.

use std::ffi::OsStr;
use std::fs::File;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::{Folder, Kind, Result};

impl Folder {
    /// The folder `name` in this one, made where there is none.
    pub(crate) fn make_child(&self, name: &str) -> Result<Self> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return self.failed("make the folder", name, error),
        }
        match self.child(name)? {
            Some(child) => Ok(child),
            None => self.failed("open the folder", name, Errno::NOENT),
        }
    }

    /// Makes the file `name`, which must not be there, for its owner alone.
    pub(crate) fn create(&self, name: &str) -> Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => Ok(File::from(fd)),
            Err(error) => self.failed("make the file", name, error),
        }
    }

    /// Makes the link `name` with `text`, changed at `time` (seconds since 1970).
    pub(crate) fn link(&self, name: &str, text: &str, time: i64) -> Result<()> {
        if let Err(error) = rustix::fs::symlinkat(text, &self.fd, name) {
            return self.failed("make the link", name, error);
        }
        self.set_item_time(name, time)
    }

    /// Sets the time of modification of the item `name` itself.
    pub(crate) fn set_item_time(&self, name: &str, time: i64) -> Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::utimensat(&self.fd, name, &stamps(time), flags) {
            Ok(()) => Ok(()),
            Err(error) => self.failed("set the time of", name, error),
        }
    }

    /// Sets this folder's own time of modification.
    pub(crate) fn set_time(&self, time: i64) -> Result<()> {
        match rustix::fs::futimens(&self.fd, &stamps(time)) {
            Ok(()) => Ok(()),
            Err(error) => self.failed("set the time of", "", error),
        }
    }

    /// Moves `name` to `to_name` in the folder `to`, replacing a file or link that is there.
    pub(crate) fn rename(&self, name: &str, to: &Self, to_name: &str) -> Result<()> {
        match rustix::fs::renameat(&self.fd, name, &to.fd, to_name) {
            Ok(()) => Ok(()),
            Err(error) => to.failed("replace", to_name, error),
        }
    }

    /// Gives the file `name` a second name, `to_name` in the folder `to`. `false` where the file
    /// system cannot do that. A name that is there already stays as it is.
    pub(crate) fn hard_link(&self, name: &str, to: &Self, to_name: &str) -> Result<bool> {
        match rustix::fs::linkat(&self.fd, name, &to.fd, to_name, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => Ok(true),
            Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                Ok(false)
            }
            Err(error) => to.failed("link", to_name, error),
        }
    }

    /// Lets `name` and `to_name` in the folder `to` change places in one step. `false` where the
    /// file system cannot do that.
    pub(crate) fn exchange(&self, name: &str, to: &Self, to_name: &str) -> Result<bool> {
        let flags = RenameFlags::EXCHANGE;
        match rustix::fs::renameat_with(&self.fd, name, &to.fd, to_name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => to.failed("replace", to_name, error),
        }
    }

    /// Removes the file or link `name`, if it is there.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => self.failed("remove", name, error),
        }
    }

    /// Removes the empty folder `name`, if it is there.
    pub(crate) fn remove_folder(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => self.failed("remove the folder", name, error),
        }
    }

    /// Removes `name`, and where it is a folder the files and links in it, but no folders in it.
    pub(crate) fn remove_flat(&self, name: &str) -> Result<()> {
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

    /// Makes the names in this folder durable.
    pub(crate) fn sync(&self) -> Result<()> {
        match rustix::fs::fsync(&self.fd) {
            Ok(()) => Ok(()),
            Err(error) => self.failed("sync", "", error),
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

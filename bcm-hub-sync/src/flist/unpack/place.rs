//! Creating files through the handle of their folder, so that no name and no link leads out of
//! it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, makedev,
};

use crate::flist::entry::Device;

/// What a file gets once it is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// `None` leaves the owner.
    pub(super) owner: Option<u32>,
    /// `None` leaves the group.
    pub(super) group: Option<u32>,
    pub(super) mode: u16,
    /// Seconds since 1970.
    pub(super) modified: u32,
}

impl Attributes {
    fn uid(&self) -> Option<Uid> {
        self.owner.map(Uid::from_raw)
    }

    fn gid(&self) -> Option<Gid> {
        self.group.map(Gid::from_raw)
    }

    fn mode(&self) -> Mode {
        Mode::from_bits_truncate(self.mode.into())
    }

    fn times(&self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: self.modified.into(),
                tv_nsec: 0,
            },
        }
    }

    fn has_owner(&self) -> bool {
        self.owner.is_some() || self.group.is_some()
    }

    /// Sets them on an open file. The owner comes first, for changing it clears set-user-id.
    pub(super) fn set(&self, file: impl std::os::fd::AsFd) -> io::Result<()> {
        let file = file.as_fd();
        if self.has_owner() {
            rustix::fs::fchown(file, self.uid(), self.gid())?;
        }
        rustix::fs::fchmod(file, self.mode())?;
        rustix::fs::futimens(file, &self.times())?;
        Ok(())
    }
}

/// A folder's handle.
#[derive(Debug, Clone)]
pub(super) struct Folder(Arc<OwnedFd>);

/// While it is being filled, a folder is its owner's alone.
const PRIVATE_FOLDER: Mode = Mode::RWXU;
/// While it is being written, a file is its owner's alone.
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

impl Folder {
    /// Opens the folder `path`, whatever links lead to it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self(Arc::new(folder)))
    }

    /// Opens the folder `name` in this one; not where it is a link.
    pub(super) fn open_folder(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&*self.0, name, flags, Mode::empty())?;
        Ok(Self(Arc::new(folder)))
    }

    pub(super) fn create_folder(&self, name: &OsStr) -> io::Result<Self> {
        rustix::fs::mkdirat(&*self.0, name, PRIVATE_FOLDER)?;
        self.open_folder(name)
    }

    pub(super) fn create_file(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*self.0, name, flags, PRIVATE_FILE)?;
        Ok(File::from(file))
    }

    pub(super) fn create_link(&self, name: &OsStr, target: &OsStr) -> io::Result<()> {
        rustix::fs::symlinkat(target, &*self.0, name)?;
        Ok(())
    }

    pub(super) fn create_device(&self, name: &OsStr, device: Device) -> io::Result<()> {
        let (kind, number) = match device {
            Device::Fifo => (FileType::Fifo, 0),
            Device::Block { major, minor } => (FileType::BlockDevice, makedev(major, minor)),
            Device::Character { major, minor } => {
                (FileType::CharacterDevice, makedev(major, minor))
            }
        };
        rustix::fs::mknodat(&*self.0, name, kind, PRIVATE_FILE, number)?;
        Ok(())
    }

    pub(super) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        rustix::fs::unlinkat(&*self.0, name, AtFlags::empty())?;
        Ok(())
    }

    /// Sets the attributes of a link or a special file, which is not opened for it: opening a
    /// pipe waits and opening a device does things. Links have no mode.
    pub(super) fn set_attributes(
        &self,
        name: &OsStr,
        attributes: &Attributes,
        is_link: bool,
    ) -> io::Result<()> {
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        if attributes.has_owner() {
            rustix::fs::chownat(
                &*self.0,
                name,
                attributes.uid(),
                attributes.gid(),
                no_follow,
            )?;
        }
        if !is_link {
            rustix::fs::chmodat(&*self.0, name, attributes.mode(), AtFlags::empty())?;
        }
        rustix::fs::utimensat(&*self.0, name, &attributes.times(), no_follow)?;
        Ok(())
    }

    pub(super) fn set_own_attributes(&self, attributes: &Attributes) -> io::Result<()> {
        attributes.set(&*self.0)
    }
}

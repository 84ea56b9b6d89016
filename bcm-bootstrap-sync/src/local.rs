//! The kernels and links that are here. No link is followed by the operating system.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file;
use bcm_core::file_identity::FileIdentity;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::kernel::{KernelName, LINKS};
use crate::layout::Layout;
use crate::run_mode::RunMode;

/// Names that lead to names that lead to a kernel: as many in a row as are followed.
const MAX_LINKS: usize = 8;

/// The folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} {}", path.display())]
pub struct LocalError {
    /// What was tried.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl LocalError {
    pub(crate) fn new(operation: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self {
            operation,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// What a run mode's link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalLink {
    /// A link to a kernel's name, which may not be there.
    Kernel(KernelName),
    /// A file of its own, as some servers have it.
    File(FileIdentity),
}

/// What is in the folder of the kernels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// The regular files.
    pub kernels: BTreeMap<KernelName, FileIdentity>,
    /// Kernels' names that only lead to another name. A sync makes none.
    pub aliases: BTreeMap<KernelName, KernelName>,
    /// The run modes.
    pub links: BTreeMap<RunMode, LocalLink>,
    /// What has no place there, and why.
    pub odd: Vec<String>,
}

impl Local {
    /// The regular file at the end of a name; `None` where there is none.
    #[must_use]
    pub fn resolve(&self, name: &KernelName) -> Option<(&KernelName, FileIdentity)> {
        let mut name = name;
        for _ in 0..MAX_LINKS {
            if let Some((name, identity)) = self.kernels.get_key_value(name) {
                return Some((name, *identity));
            }
            name = self.aliases.get(name)?;
        }
        None
    }
}

/// Looks at everything once. A folder that is not there holds nothing. Blocks.
///
/// # Errors
/// A folder cannot be read.
pub fn scan(layout: &Layout) -> Result<Local, LocalError> {
    let mut local = Local::default();
    each(&layout.kernels(), |name, path, kind, identity| {
        if name == LINKS && kind == FileType::Directory || name.starts_with('.') {
            return;
        }
        let kernel = match KernelName::new(name) {
            Ok(kernel) => kernel,
            Err(error) => return local.odd.push(format!("{}: {error}", path.display())),
        };
        match kind {
            FileType::RegularFile => {
                local.kernels.insert(kernel, identity);
            }
            FileType::Symlink => match target(path).map(KernelName::new) {
                Some(Ok(to)) => {
                    local.aliases.insert(kernel, to);
                }
                _ => local
                    .odd
                    .push(format!("{}: leads outside of the folder", path.display())),
            },
            _ => local.odd.push(format!("{}: is no file", path.display())),
        }
    })?;
    each(&layout.links(), |name, path, kind, identity| {
        if name.starts_with('.') {
            return;
        }
        let Some(mode) = RunMode::of_link(name) else {
            return local
                .odd
                .push(format!("{}: is no run mode", path.display()));
        };
        let to = match kind {
            FileType::RegularFile => Some(LocalLink::File(identity)),
            FileType::Symlink => target(path).and_then(|text| {
                let name = text.strip_prefix("../")?;
                KernelName::new(name).ok().map(LocalLink::Kernel)
            }),
            _ => None,
        };
        match to {
            Some(to) => {
                local.links.insert(mode, to);
            }
            None => local
                .odd
                .push(format!("{}: does not lead to a kernel", path.display())),
        }
    })?;
    Ok(local)
}

fn each(
    folder: &Path,
    mut see: impl FnMut(&str, &Path, FileType, FileIdentity),
) -> Result<(), LocalError> {
    let failed = |error: io::Error| LocalError::new("read the folder", folder, error);
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(_) => {}
    }
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let stat = match rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(LocalError::new("look at", &path, error)),
        };
        let name = entry.file_name();
        let name = String::from_utf8_lossy(name.as_bytes());
        let kind = FileType::from_raw_mode(stat.st_mode);
        see(&name, &path, kind, FileIdentity::of(&stat));
    }
    Ok(())
}

fn target(path: &Path) -> Option<String> {
    fs::read_link(path)
        .ok()?
        .into_os_string()
        .into_string()
        .ok()
}

/// Opens a regular file for reading without following a link or waiting for a planted fifo.
///
/// # Errors
/// `NotFound` where there is no such regular file; otherwise what the system says.
pub fn open(path: &Path) -> io::Result<(File, FileIdentity)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => {
            return Err(io::ErrorKind::NotFound.into());
        }
        file => file?,
    };
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((File::from(file), FileIdentity::of(&stat)))
}

/// Makes the folders that a sync writes to.
///
/// # Errors
/// One cannot be made, or something else is in its place.
pub(crate) fn make_folders(layout: &Layout) -> Result<(), LocalError> {
    for folder in [
        layout.bootstrap(),
        layout.kernels(),
        layout.links(),
        layout.staging(),
    ] {
        let made = fs::create_dir_all(&folder).and_then(|()| {
            // A link in its place would lead what is written elsewhere.
            match fs::symlink_metadata(&folder)?.is_dir() {
                true => Ok(()),
                false => Err(io::ErrorKind::NotADirectory.into()),
            }
        });
        made.map_err(|error| LocalError::new("make the folder", &folder, error))?;
    }
    Ok(())
}

/// Sets the time of modification of `path` itself, in seconds since 1970.
pub(crate) fn set_time(path: &Path, seconds: i64) -> Result<(), LocalError> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| LocalError::new("set the time of", path, error))
}

/// Gives the whole and synced file `staged` the time `timestamp` and the place `path`.
pub(crate) fn publish(staged: &Path, path: &Path, timestamp: i64) -> Result<(), LocalError> {
    set_time(staged, timestamp)?;
    fs::rename(staged, path).map_err(|error| LocalError::new("publish", path, error))?;
    sync_parent(path)
}

/// Turns a run mode's link to `kernel`, which readers see from one moment to the next.
pub(crate) fn set_link(
    layout: &Layout,
    mode: &RunMode,
    kernel: &KernelName,
) -> Result<(), LocalError> {
    let path = layout.link(mode);
    let new = layout.links().join(format!(".{}.new", mode.link()));
    let failed = |error| LocalError::new("link", &path, error);
    atomic_file::remove_if_there(&new).map_err(failed)?;
    std::os::unix::fs::symlink(format!("../{kernel}"), &new).map_err(failed)?;
    fs::rename(&new, &path).map_err(failed)?;
    sync_parent(&path)
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), LocalError> {
    atomic_file::remove_if_there(path).map_err(|error| LocalError::new("remove", path, error))
}

fn sync_parent(path: &Path) -> Result<(), LocalError> {
    let parent = path.parent().unwrap_or(path);
    atomic_file::sync_dir(parent).map_err(|error| {
        let source = io::Error::from(error.io_error().kind());
        LocalError::new("sync the folder of", path, source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn name(text: &str) -> KernelName {
        KernelName::new(text).unwrap()
    }

    #[test]
    fn what_is_no_kernel_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(scan(&layout).unwrap(), Local::default());
        make_folders(&layout).unwrap();
        let kernels = layout.kernels();
        fs::write(kernels.join("a.efi"), "a").unwrap();
        fs::write(kernels.join(".b.efi.new"), "b").unwrap();
        symlink("a.efi", kernels.join("alias.efi")).unwrap();
        symlink("loop.efi", kernels.join("loop.efi")).unwrap();
        symlink("../../outside", kernels.join("out.efi")).unwrap();
        fs::create_dir(kernels.join("folder.efi")).unwrap();
        fs::write(kernels.join("a b"), "x").unwrap();
        set_link(&layout, &RunMode::new("prod").unwrap(), &name("a.efi")).unwrap();
        set_link(&layout, &RunMode::new("prod").unwrap(), &name("alias.efi")).unwrap();
        symlink("/etc/passwd", layout.links().join("test.efi")).unwrap();
        fs::write(layout.links().join("dev.efi"), "own").unwrap();
        let local = scan(&layout).unwrap();
        assert_eq!(local.kernels.len(), 1);
        assert_eq!(local.odd.len(), 4, "{:?}", local.odd);
        assert_eq!(local.links.len(), 2);
        assert_eq!(local.resolve(&name("alias.efi")).unwrap().0, &name("a.efi"));
        assert_eq!(local.resolve(&name("loop.efi")), None);
        assert!(open(&kernels.join("alias.efi")).is_err());
        assert!(open(&kernels.join("a.efi")).is_ok());
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.kernels()).unwrap();
        symlink(outside.path(), layout.links()).unwrap();
        assert!(make_folders(&layout).is_err());
    }
}

//! The flists of all snapshots, each once, under their MD5.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_core::digest::Md5;

use super::manifest::{self, Manifest};
use super::{SnapshotError, error};
use crate::catalog::FlistRef;
use crate::folder::Folder;
use crate::layout::Layout;

/// The name of an flist's content.
pub(super) fn name_of(md5: &Md5) -> String {
    md5.to_string()
}

pub(super) fn path_of(layout: &Layout, md5: &Md5) -> PathBuf {
    layout.snapshot_flists().join(name_of(md5))
}

/// Where the flists of snapshots are added.
pub(super) struct Contents {
    users: Option<Folder>,
    folder: Folder,
    held: BTreeSet<String>,
}

impl Contents {
    pub(super) fn open(layout: &Layout) -> Result<Self, SnapshotError> {
        let path = layout.snapshot_flists();
        fs::create_dir_all(&path).map_err(error::SnapshotError::io("make the folder", &path))?;
        let folder = Folder::open_existing(&path)?;
        let held = folder.names()?.into_iter();
        let held = held.filter_map(|name| name.into_string().ok()).collect();
        Ok(Self {
            users: Folder::open(&layout.users())?,
            folder,
            held,
        })
    }

    /// Keeps the published flist `place`, whose MD5 is `md5`.
    pub(super) fn keep(&mut self, place: &FlistRef, md5: &Md5) -> Result<(), SnapshotError> {
        let name = name_of(md5);
        if self.held.contains(&name) {
            return Ok(());
        }
        let home = match &self.users {
            Some(users) => users.child(place.repository.as_str())?,
            None => None,
        };
        // Gone since it was listed: somebody else works in the tree.
        let Some(home) = home else {
            return Ok(());
        };
        let linked = home.hard_link(place.name.as_str(), &self.folder, &name)?;
        if !linked {
            // A file system without hard links, or a file that has too many.
            let (from, to) = (
                home.path().join(place.name.as_str()),
                self.folder.path().join(&name),
            );
            let part = self.folder.path().join(format!("{name}.part"));
            fs::copy(&from, &part)
                .and_then(|_| File::open(&part)?.sync_all())
                .and_then(|()| fs::rename(&part, &to))
                .map_err(SnapshotError::io("copy to", &to))?;
        }
        self.held.insert(name);
        Ok(())
    }

    /// Makes what was kept durable.
    pub(super) fn sync(&self) -> Result<(), SnapshotError> {
        Ok(self.folder.sync()?)
    }
}

/// Keeps published flists that are about to be replaced or removed, each with its MD5: their blocks are
/// spared by a collection of garbage for its time of grace.
pub(crate) fn keep_replaced(
    layout: &Layout,
    flists: &[(FlistRef, Md5)],
) -> Result<(), SnapshotError> {
    if flists.is_empty() {
        return Ok(());
    }
    let mut contents = Contents::open(layout)?;
    for (place, md5) in flists {
        contents.keep(place, md5)?;
    }
    contents.sync()
}

/// The files of flists that are in no published place any more, but in a snapshot, or were
/// published until lately.
pub(crate) fn unpublished(layout: &Layout) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (path, metadata) in files(&layout.snapshot_flists())? {
        if metadata.nlink() == 1 {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Forgets the content with this MD5 where it is damaged, as the published flist was found to be.
pub(crate) fn forget_damaged(layout: &Layout, md5: &Md5) {
    let path = path_of(layout, md5);
    if File::open(&path).and_then(Md5::of_reader).ok().as_ref() != Some(md5) {
        // What stays is found to be damaged again when somebody wants to restore it.
        let _ = fs::remove_file(path);
    }
}

/// Removes the contents that neither a snapshot nor the published tree names, and has not for
/// `grace`. Answers with their files; with `dry_run`, nothing is removed.
pub(crate) fn sweep(
    layout: &Layout,
    grace: Duration,
    dry_run: bool,
) -> Result<BTreeSet<PathBuf>, SnapshotError> {
    let folder = layout.snapshot_flists();
    let mut named = BTreeSet::new();
    for name in manifest::names(layout)? {
        // A manifest that cannot be read may name anything: nothing is removed then.
        let manifest = Manifest::read(layout, &name)?;
        named.extend(
            manifest
                .flists
                .values()
                .map(|flist| name_of(&flist.file_md5)),
        );
    }
    let now = SystemTime::now();
    let mut removed = BTreeSet::new();
    for (path, metadata) in files(&folder).map_err(SnapshotError::io("read", &folder))? {
        // The time of change moves when one of its links goes: when it was last published.
        let changed = u64::try_from(metadata.ctime()).unwrap_or(0);
        let changed = UNIX_EPOCH + Duration::from_secs(changed);
        let age = now.duration_since(changed).unwrap_or_default();
        let name = path.file_name().and_then(|name| name.to_str());
        let needed = name.is_some_and(|name| named.contains(name));
        if needed || metadata.nlink() > 1 || age < grace {
            continue;
        }
        if !dry_run {
            super::remove(&path)?;
        }
        removed.insert(path);
    }
    Ok(removed)
}

fn files(folder: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            files.push((entry.path(), metadata));
        }
    }
    Ok(files)
}

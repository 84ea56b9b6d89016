//! The names of staged files.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::digest::Md5;

use super::super::error::SyncError;
use crate::catalog::FlistRef;
use crate::layout::Layout;

/// The end of the name of an flist that is staged whole.
const WHOLE: &str = ".flist";

/// Names of a version of an flist in the staging folder. They are made of hex digits, for an
/// flist's own name may be as long as a file name can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedName {
    flist: String,
}

impl StagedName {
    pub(crate) fn of(place: &FlistRef) -> Self {
        Self {
            flist: Md5::of(place.to_string().as_bytes()).to_string(),
        }
    }

    /// What the names of all its whole versions begin with.
    pub(super) fn prefix(&self) -> String {
        format!("{}-", self.flist)
    }

    /// A download that is not verified yet.
    pub(super) fn part(&self) -> String {
        format!("{}.part", self.flist)
    }

    /// The flist as upstream has it, with this MD5.
    pub(crate) fn whole(&self, md5: &Md5) -> String {
        format!("{}-{md5}{WHOLE}", self.flist)
    }

    /// The flist after its backend was rewritten.
    pub(super) fn rewritten(&self) -> String {
        format!("{}.rewritten", self.flist)
    }
}

/// The whole flists that earlier syncs left in the staging folder.
pub(super) fn known(staging: &Path) -> Result<BTreeSet<String>, SyncError> {
    Ok(names(staging)?
        .into_iter()
        .filter(|name| name.ends_with(WHOLE))
        .collect())
}

fn names(folder: &Path) -> Result<Vec<String>, SyncError> {
    let failed = |error| SyncError::io("read the folder", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Where flists are unpacked while they are read.
pub(crate) fn scratch(layout: &Layout) -> PathBuf {
    layout.staging().join("scratch")
}

/// Where an flist is when it is published.
pub(super) fn published(layout: &Layout, place: &FlistRef) -> PathBuf {
    layout.users().join(&place.repository).join(&place.name)
}

/// Removes what lies in the staging folder, except for the files called `keep`.
pub(crate) fn clean(layout: &Layout, keep: &BTreeSet<String>) -> Result<(), SyncError> {
    let staging = layout.staging();
    for name in names(&staging)? {
        if keep.contains(&name) {
            continue;
        }
        let path = staging.join(&name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SyncError::io("remove", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

//! What a mirror holds: reads a tree in the layout that hubs serve from.
//!
//! ```text
//! users/REPO/NAME.flist                                  a regular flist
//! users/REPO/LINK.flist      -> NAME.flist               a link inside the repository
//! users/REPO/LINK.flist      -> ../OTHER/NAME.flist      a link into another repository
//! users/REPO/.tag-TAG/                                   a tag
//! users/REPO/.tag-TAG/X.flist -> ../../OTHER/NAME.flist  a tag's link
//! users/REPO/NAME            -> ../OTHER/.tag-TAG        a link to a tag
//! ```
//!
//! Links are read, never followed: whatever is planted in the tree, nothing outside it is opened.

mod open;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bcm_core::names::{EntryName, RepoName, TAG_PREFIX, TagName};
use serde::Deserialize;

use super::{Catalog, Entry, FlistRef, RegularFile, Repository, Symlink, Tag, TagLink};
use crate::folder::{Folder, FolderError, Kind};
use crate::layout::Layout;
use target::Place;

pub use bcm_core::file_identity::{FileIdentity, Timestamp};
pub use open::open_flist;

/// What [`scan`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalScan {
    /// The entries. Sizes are exact; `md5` is never set, for nothing is read.
    pub catalog: Catalog,
    /// The identity of each regular flist's file, to notice when another one takes its place.
    pub files: BTreeMap<FlistRef, FileIdentity>,
    /// Every folder of the tree, `users/` first: when all of them still have the same stamp, no
    /// entry was added, removed or renamed since.
    pub folders: Vec<FolderStamp>,
    /// What has no place in a hub's tree, and was left out of the catalogue.
    pub odd: Vec<OddEntry>,
}

/// A folder and when it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderStamp {
    /// The folder.
    pub path: PathBuf,
    /// Its identity when it was read.
    pub identity: FileIdentity,
}

/// Something in the tree that is not part of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddEntry {
    /// Where it is.
    pub path: PathBuf,
    /// Why it was left out.
    pub reason: String,
}

/// The tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A file system call failed.
    #[error("could not {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<FolderError> for LocalError {
    fn from(error: FolderError) -> Self {
        Self::Io {
            operation: error.operation,
            path: error.path,
            source: error.source,
        }
    }
}

impl FolderStamp {
    fn of(folder: &Folder) -> Result<Self, LocalError> {
        Ok(Self {
            path: folder.path().to_owned(),
            identity: folder.identity()?,
        })
    }
}

/// Reads the published tree of a data folder. A tree that is not there yet is an empty one.
///
/// An entry that vanishes while it is looked at is left out, as if the scan had come later.
///
/// # Errors
/// A folder of the tree that is there but cannot be read: to leave it out would look as if it
/// had been deleted.
pub fn scan(layout: &Layout) -> Result<LocalScan, LocalError> {
    let mut scan = LocalScan::default();
    let users = layout.users();
    let official = official_repositories(&layout.state(), &mut scan.odd);
    let Some(root) = Folder::open(&users)? else {
        return Ok(scan);
    };
    scan.folders.push(FolderStamp::of(&root)?);
    for item in root.items()? {
        let path = users.join(&item.name);
        match item.seen.kind {
            Kind::Folder => {}
            // Hubs keep marker files such as `.keep` here, and list them no more than we do.
            Kind::File if item.name.as_encoded_bytes().starts_with(b".") => continue,
            _ => {
                scan.odd(path, "is not a repository's folder");
                continue;
            }
        }
        let Some(name) = scan.name(&item.name, &path, |text| RepoName::new(text)) else {
            continue;
        };
        let Some(folder) = root.child_if_folder(&item.name)? else {
            continue;
        };
        let repository = scan.repository(&name, &folder, official.contains(name.as_str()))?;
        scan.catalog.repositories.insert(name, repository);
    }
    Ok(scan)
}

impl LocalScan {
    fn odd(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.odd.push(OddEntry {
            path,
            reason: reason.into(),
        });
    }

    fn name<T, E: std::fmt::Display>(
        &mut self,
        name: &OsStr,
        path: &Path,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(text) = name.to_str() else {
            self.odd(path.to_owned(), "its name is not UTF-8");
            return None;
        };
        parse(text)
            .map_err(|error| self.odd(path.to_owned(), error.to_string()))
            .ok()
    }

    fn repository(
        &mut self,
        home: &RepoName,
        folder: &Folder,
        official: bool,
    ) -> Result<Repository, LocalError> {
        let stamp = FolderStamp::of(folder)?;
        let mut repository = Repository {
            official,
            updated: stamp.identity.modified.seconds,
            ..Repository::default()
        };
        self.folders.push(stamp);
        for item in folder.items()? {
            let path = folder.path().join(&item.name);
            match item.seen.kind {
                Kind::Folder => {
                    let tag = item
                        .name
                        .to_str()
                        .and_then(|name| name.strip_prefix(TAG_PREFIX));
                    let Some(tag) = tag else {
                        self.odd(path, "is a folder, but not a tag's");
                        continue;
                    };
                    let Some(tag) = self.name(OsStr::new(tag), &path, |text| TagName::new(text))
                    else {
                        continue;
                    };
                    if let Some(child) = folder.child_if_folder(&item.name)? {
                        repository.tags.insert(tag, self.tag(home, &child)?);
                    }
                }
                Kind::File => {
                    if let Some(name) = self.name(&item.name, &path, |text| EntryName::new(text)) {
                        let file = RegularFile {
                            size: Some(item.seen.size()),
                            listed_size: listed_size(item.seen.size()),
                            updated: item.seen.modified(),
                            md5: None,
                        };
                        let reference = FlistRef {
                            repository: home.clone(),
                            name: name.clone(),
                        };
                        self.files.insert(reference, item.seen.identity);
                        repository.entries.insert(name, Entry::Regular(file));
                    }
                }
                Kind::Link => {
                    // Gone, or another kind of thing took its place: the next scan sees it.
                    let Some(text) = folder.read_link(&item.name)? else {
                        continue;
                    };
                    let linktime = item.seen.modified();
                    let entry = match target::in_repository(home, &text) {
                        Ok(Place::Flist(target)) => Entry::Symlink(Symlink { target, linktime }),
                        Ok(Place::Tag(target)) => Entry::TagLink(TagLink { target, linktime }),
                        Err(reason) => {
                            self.odd(path, reason);
                            continue;
                        }
                    };
                    if let Some(name) = self.name(&item.name, &path, |text| EntryName::new(text)) {
                        repository.entries.insert(name, entry);
                    }
                }
                Kind::Other => self.odd(path, "is neither a file, a link nor a folder"),
            }
        }
        Ok(repository)
    }

    fn tag(&mut self, home: &RepoName, folder: &Folder) -> Result<Tag, LocalError> {
        let stamp = FolderStamp::of(folder)?;
        let mut tag = Tag {
            updated: stamp.identity.modified.seconds,
            ..Tag::default()
        };
        self.folders.push(stamp);
        for item in folder.items()? {
            let path = folder.path().join(&item.name);
            if item.seen.kind != Kind::Link {
                self.odd(path, "is in a tag, but not a link");
                continue;
            }
            let Some(text) = folder.read_link(&item.name)? else {
                continue;
            };
            let target = match target::in_tag(home, &text) {
                Ok(target) => target,
                Err(reason) => {
                    self.odd(path, reason);
                    continue;
                }
            };
            if let Some(name) = self.name(&item.name, &path, |text| EntryName::new(text)) {
                let linktime = item.seen.modified();
                tag.links.insert(name, Symlink { target, linktime });
            }
        }
        Ok(tag)
    }
}

/// A size as a hub's listing writes it: kilobytes of 1,024 bytes with two decimals.
///
/// ```
/// assert_eq!(bcm_hub_sync::catalog::local::listed_size(3448), "3.37 KB");
/// ```
#[must_use]
pub fn listed_size(bytes: u64) -> String {
    #[allow(
        clippy::cast_precision_loss,
        reason = "hubs compute it in the same floating point"
    )]
    let kilobytes = bytes as f64 / 1024.0;
    format!("{kilobytes:.2} KB")
}

/// The repositories that the state file calls official. A state file that cannot be read hides no
/// flist: it is reported as odd, and no repository is official.
fn official_repositories(path: &Path, odd: &mut Vec<OddEntry>) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Official {
        #[serde(default)]
        official: BTreeSet<String>,
    }
    let mut report = |reason: String| {
        odd.push(OddEntry {
            path: path.to_owned(),
            reason,
        });
        BTreeSet::new()
    };
    match fs::read(path) {
        Ok(text) => match serde_json::from_slice::<Official>(&text) {
            Ok(state) => state.official,
            Err(error) => report(format!("is not a state file: {error}")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => report(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests;

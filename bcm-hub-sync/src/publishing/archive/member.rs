//! A member of an archive: what is said of it, checked where it enters.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::{Header, PaxExtensions};

use super::{ArchiveError, ArchiveLimits, Result};
use crate::flist::Attribute;

/// What entries before a member say of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<i64>,
    /// A size that the header has no room for.
    size: bool,
}

impl Said {
    pub(super) fn extend(&mut self, text: &[u8]) -> io::Result<()> {
        for extension in PaxExtensions::new(text) {
            let extension = extension?;
            let value = extension.value_bytes();
            let number = || std::str::from_utf8(value).ok()?.parse().ok();
            match extension.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"uid" => self.uid = number(),
                b"gid" => self.gid = number(),
                b"size" => self.size = true,
                b"mtime" => {
                    let text = std::str::from_utf8(value).unwrap_or_default();
                    self.modified = text.split('.').next().and_then(|text| text.parse().ok());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A member, with its path taken apart.
#[derive(Debug)]
pub(super) struct Member {
    /// As the archive has it.
    named: String,
    /// Without `.` and slashes at its ends; empty for the root.
    pub(super) path: PathBuf,
    link: Option<String>,
    pub(super) attribute: Attribute,
}

impl Member {
    pub(super) fn new<R: Read>(
        header: &Header,
        entry: &tar::Entry<'_, R>,
        said: Said,
        limits: &ArchiveLimits,
    ) -> Result<Self> {
        let bytes = said.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let named: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
        let refused = |why: &str| refused(&named, why);
        if said.size {
            return Err(refused(
                "its size is beside its header, as for more than 8 GiB",
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| refused("its path is not UTF-8"))?;
        let path = tame(&text).map_err(refused)?;
        if path.components().count() > limits.depth {
            return Err(refused("it is too deep"));
        }
        let link = match said
            .link
            .or_else(|| entry.link_name_bytes().map(|l| l.into_owned()))
        {
            None => None,
            Some(link) => {
                Some(String::from_utf8(link).map_err(|_| refused("its link is not UTF-8"))?)
            }
        };
        let small = |said: Option<u64>, header: io::Result<u64>| {
            let number = said.map_or(header, Ok);
            number.ok().and_then(|number| u32::try_from(number).ok())
        };
        let owner = "its owner is no number of 32 bits";
        Ok(Self {
            attribute: Attribute {
                uid: small(said.uid, header.uid()).ok_or_else(|| refused(owner))?,
                gid: small(said.gid, header.gid()).ok_or_else(|| refused(owner))?,
                mode: header
                    .mode()
                    .map_err(|_| refused("its mode is no number"))?,
                modified: said.modified.unwrap_or_else(|| {
                    header
                        .mtime()
                        .map_or(0, |time| i64::try_from(time).unwrap_or(i64::MAX))
                }),
            },
            named,
            path,
            link,
        })
    }

    pub(super) fn refused(&self, why: &str) -> ArchiveError {
        refused(&self.named, why)
    }

    /// The text of its link, which is not empty.
    pub(super) fn link(&self) -> Result<&str> {
        let link = self.link.as_deref().filter(|link| !link.is_empty());
        link.ok_or_else(|| self.refused("it is a link to nothing"))
    }
}

fn refused(member: &str, why: &str) -> ArchiveError {
    ArchiveError::Member {
        member: member.to_owned(),
        why: why.to_owned(),
    }
}

/// The path of a member inside the tree; or what is wrong with it.
pub(super) fn tame(text: &str) -> std::result::Result<PathBuf, &'static str> {
    if text.starts_with('/') {
        return Err("its path is absolute");
    }
    let mut path = PathBuf::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its path has .. in it"),
            part if part.contains('\0') => return Err("its path has a NUL in it"),
            part if part.len() > bcm_core::names::MAX_NAME_BYTES => {
                return Err("a name in its path is longer than 255 bytes");
            }
            part => path.push(part),
        }
    }
    Ok(path)
}

/// Whether a symbolic link in the folder `parent` climbs above the root of the tree.
pub(super) fn climbs(parent: &Path, link: &str) -> bool {
    let mut depth = match link.starts_with('/') {
        true => 0,
        false => parent.components().count(),
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

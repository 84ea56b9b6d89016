//! The entries of a catalogue, as both an upstream's listing and a local tree give them.

use std::collections::BTreeMap;
use std::fmt;

use bcm_core::digest::Md5;
use bcm_core::names::{EntryName, NameError, RepoName, TagName};
use serde::{Deserialize, Serialize};

/// Everything that a hub lists, or that a mirror holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The repositories by name.
    pub repositories: BTreeMap<RepoName, Repository>,
}

impl Catalog {
    /// The entry `place`, where there is one.
    #[must_use]
    pub fn entry(&self, place: &FlistRef) -> Option<&Entry> {
        self.repositories
            .get(&place.repository)?
            .entries
            .get(&place.name)
    }

    /// The tag `place`, where there is one.
    #[must_use]
    pub fn tag(&self, place: &TagRef) -> Option<&Tag> {
        self.repositories
            .get(&place.repository)?
            .tags
            .get(&place.tag)
    }

    /// Every entry with its place, repository by repository.
    pub fn entries(&self) -> impl Iterator<Item = (FlistRef, &Entry)> {
        self.repositories.iter().flat_map(|(home, repository)| {
            repository.entries.iter().map(|(name, entry)| {
                let place = FlistRef {
                    repository: home.clone(),
                    name: name.clone(),
                };
                (place, entry)
            })
        })
    }

    /// Every tag with its place, repository by repository.
    pub fn tags(&self) -> impl Iterator<Item = (TagRef, &Tag)> {
        self.repositories.iter().flat_map(|(home, repository)| {
            repository.tags.iter().map(|(name, tag)| {
                let place = TagRef {
                    repository: home.clone(),
                    tag: name.clone(),
                };
                (place, tag)
            })
        })
    }
}

/// One user's or organisation's part of a catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Whether the hub marks it as official.
    pub official: bool,
    /// When the repository's folder was changed, in seconds since 1970.
    pub updated: i64,
    /// Flists, links and links to tags by name.
    pub entries: BTreeMap<EntryName, Entry>,
    /// Tags by name.
    pub tags: BTreeMap<TagName, Tag>,
}

/// One entry of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Entry {
    /// An flist.
    Regular(RegularFile),
    /// A link to an flist.
    Symlink(Symlink),
    /// A link to a tag.
    TagLink(TagLink),
}

/// An flist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegularFile {
    /// Bytes, where known exactly. A hub's listing gives it only rounded; see `listed_size`.
    pub size: Option<u64>,
    /// The size as the hub's listing writes it, such as `77.23 KB`; empty where unknown.
    pub listed_size: String,
    /// The file's time of modification, in seconds since 1970.
    pub updated: i64,
    /// Its MD5, where known.
    pub md5: Option<Md5>,
}

impl RegularFile {
    /// Its size in bytes, where the listing gives it only rounded as precise as that is; `None` where
    /// neither is a size.
    ///
    /// Hubs write kilobytes of 1,024 bytes ([`listed_size`](super::local::listed_size)); other units are
    /// understood as well.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.size.or_else(|| bytes_of(&self.listed_size))
    }
}

fn bytes_of(listed: &str) -> Option<u64> {
    let (number, unit) = listed.trim().split_once(' ')?;
    let power = ["B", "KB", "MB", "GB", "TB"]
        .iter()
        .position(|known| *known == unit)?;
    let number: f64 = number.parse().ok()?;
    let bytes = number * 1024_f64.powi(i32::try_from(power).ok()?);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no number below zero comes here, and what is too large becomes the largest there is"
    )]
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes.round() as u64)
}

/// A link to an flist of this or of another repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symlink {
    /// Where it leads.
    pub target: LinkTarget,
    /// The link's own time of modification, in seconds since 1970.
    pub linktime: i64,
}

/// A link to a tag of this or of another repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagLink {
    /// Where it leads.
    pub target: TagRef,
    /// The link's own time of modification, in seconds since 1970.
    pub linktime: i64,
}

/// A tag: a folder of links that are meant to be used together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// When the tag's folder was changed, in seconds since 1970.
    pub updated: i64,
    /// The links by name. A tag holds nothing else.
    pub links: BTreeMap<EntryName, Symlink>,
}

/// Where a link leads, as the hub writes it: `other.flist` inside the repository,
/// `repo/other.flist` into another one (always so inside a tag).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkTarget {
    /// The repository, where the link names one.
    pub repository: Option<RepoName>,
    /// The flist.
    pub name: EntryName,
}

impl LinkTarget {
    /// The flist that a link with this target in the repository `home` leads to.
    #[must_use]
    pub fn resolve(&self, home: &RepoName) -> FlistRef {
        FlistRef {
            repository: self.repository.clone().unwrap_or_else(|| home.clone()),
            name: self.name.clone(),
        }
    }
}

/// An entry of a repository, written `repo/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FlistRef {
    /// The repository.
    pub repository: RepoName,
    /// The entry.
    pub name: EntryName,
}

/// A tag of a repository, written `repo/tags/TAG` as hubs do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagRef {
    /// The repository.
    pub repository: RepoName,
    /// The tag.
    pub tag: TagName,
}

/// Text that is not a link's target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// It does not have the form that is expected.
    #[error("{text:?} is not of the form {form}")]
    Form {
        /// The text as it came.
        text: String,
        /// The form that was expected.
        form: &'static str,
    },
    /// One of its names is refused.
    #[error("{text:?} is refused")]
    Name {
        /// The text as it came.
        text: String,
        /// Why.
        source: NameError,
    },
}

fn name<T>(text: &str, result: Result<T, NameError>) -> Result<T, InvalidTarget> {
    result.map_err(|source| InvalidTarget::Name {
        text: text.to_owned(),
        source,
    })
}

impl TryFrom<String> for LinkTarget {
    type Error = InvalidTarget;
    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        match text.split_once('/') {
            None => Ok(Self {
                repository: None,
                name: name(&text, EntryName::new(&text))?,
            }),
            Some((repository, entry)) => Ok(Self {
                repository: Some(name(&text, RepoName::new(repository))?),
                name: name(&text, EntryName::new(entry))?,
            }),
        }
    }
}

impl From<LinkTarget> for String {
    fn from(target: LinkTarget) -> String {
        target.to_string()
    }
}

impl fmt::Display for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repository {
            Some(repository) => write!(f, "{repository}/{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl TryFrom<String> for FlistRef {
    type Error = InvalidTarget;
    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        let Some((repository, entry)) = text.split_once('/') else {
            return Err(InvalidTarget::Form {
                text,
                form: "repository/name",
            });
        };
        Ok(Self {
            repository: name(&text, RepoName::new(repository))?,
            name: name(&text, EntryName::new(entry))?,
        })
    }
}

impl From<FlistRef> for String {
    fn from(target: FlistRef) -> String {
        target.to_string()
    }
}

impl fmt::Display for FlistRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repository, self.name)
    }
}

impl TryFrom<String> for TagRef {
    type Error = InvalidTarget;
    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        let mut parts = text.splitn(3, '/');
        let (Some(repository), Some("tags"), Some(tag)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidTarget::Form {
                text,
                form: "repository/tags/TAG",
            });
        };
        Ok(Self {
            repository: name(&text, RepoName::new(repository))?,
            tag: name(&text, TagName::new(tag))?,
        })
    }
}

impl From<TagRef> for String {
    fn from(target: TagRef) -> String {
        target.to_string()
    }
}

impl fmt::Display for TagRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/tags/{}", self.repository, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_hubs_write_them() {
        for bytes in [0, 1, 1023, 3448, 79_083, 5_000_000_000] {
            let read = bytes_of(&crate::catalog::local::listed_size(bytes)).unwrap();
            assert!(read.abs_diff(bytes) <= 6, "{bytes}: {read}");
        }
        assert_eq!(bytes_of("1.5 GB"), Some(1_610_612_736));
        assert_eq!(bytes_of("1e30 TB"), Some(u64::MAX));
        for text in ["", "KB", "-1 KB", "NaN KB", "inf KB", "1 XB", "12"] {
            assert_eq!(bytes_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn targets_round_trip() {
        for text in ["a.flist", "repo/a.flist"] {
            let target = LinkTarget::try_from(text.to_owned()).unwrap();
            assert_eq!(target.to_string(), text);
        }
        let tag = TagRef::try_from("tf-zos/tags/v3.14.1".to_owned()).unwrap();
        assert_eq!(tag.to_string(), "tf-zos/tags/v3.14.1");
    }

    #[test]
    fn targets_that_leave_are_refused() {
        for text in [
            "",
            "..",
            "../x",
            "a/../x",
            "/etc/passwd",
            "a/b/c",
            "a/",
            ".tag-x/y",
        ] {
            assert!(LinkTarget::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        for text in [
            "a",
            "a/b/c",
            "../tags/x",
            "a/tags/",
            "a/tags/../x",
            "a/tags/x/y",
        ] {
            assert!(TagRef::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}

//! The entries of a listing, as hubs write them.

use bcm_core::names::RepoName;
use serde::Serialize;

use super::snapshot::Snapshot;
use crate::catalog::local::listed_size;
use crate::catalog::{Entry, LinkTarget, Repository, Symlink, Tag, TagLink};

/// The size that hubs list for a tag.
const TAG_SIZE: &str = "0 KB";
/// The size that hubs list for a link to a tag: that of its folder, which on their file system is
/// one block. Ours may be another one, so this is not looked up.
const TAG_LINK_SIZE: u64 = 4096;

/// One entry of a listing. The order of the fields is the order on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Listed<'a> {
    pub(super) name: &'a str,
    /// `77.23 KB`
    pub(super) size: String,
    pub(super) updated: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) linktime: Option<i64>,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    /// Bytes of what the entry leads to; none where it dangles, or for tags.
    #[serde(skip)]
    pub(super) bytes: Option<u64>,
}

/// A repository in the order of the names that its folder has (where a tag is `.tag-NAME`).
pub(super) fn repository<'a>(
    snapshot: &'a Snapshot,
    home: &'a RepoName,
    repository: &'a Repository,
) -> Vec<Listed<'a>> {
    let tags = repository.tags.iter().map(|(name, tag)| {
        let listed = Listed {
            name: name.as_str(),
            size: TAG_SIZE.to_owned(),
            updated: tag.updated,
            linktime: None,
            kind: "tag",
            target: None,
            bytes: None,
        };
        (name.folder(), listed)
    });
    let entries = repository.entries.iter().map(|(name, entry)| {
        let name = name.as_str();
        let listed = match entry {
            Entry::Regular(file) => Listed {
                name,
                size: listed_size(file.size.unwrap_or(0)),
                updated: file.updated,
                linktime: None,
                kind: "regular",
                target: None,
                bytes: file.size,
            },
            Entry::Symlink(link) => symlink(snapshot, home, name, link, false),
            Entry::TagLink(link) => tag_link(snapshot, name, link),
        };
        (name.to_owned(), listed)
    });
    let mut all: Vec<_> = tags.chain(entries).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.into_iter().map(|(_, listed)| listed).collect()
}

/// The links of a tag of the repository `home`.
pub(super) fn tag<'a>(snapshot: &'a Snapshot, home: &'a RepoName, tag: &'a Tag) -> Vec<Listed<'a>> {
    tag.links
        .iter()
        .map(|(name, link)| symlink(snapshot, home, name.as_str(), link, true))
        .collect()
}

/// What a link says of itself, with what it leads to where it leads anywhere.
fn symlink<'a>(
    snapshot: &Snapshot,
    home: &RepoName,
    name: &'a str,
    link: &Symlink,
    in_tag: bool,
) -> Listed<'a> {
    let found = snapshot.follow(&link.target.resolve(home));
    let raw = raw_target(&link.target, in_tag).len();
    Listed {
        name,
        size: listed_size(
            found
                .as_ref()
                .map_or(raw as u64, |found| found.identity.size),
        ),
        updated: found
            .as_ref()
            .map_or(link.linktime, |found| found.file.updated),
        linktime: Some(link.linktime),
        kind: "symlink",
        target: Some(link.target.to_string()),
        bytes: found.map(|found| found.identity.size),
    }
}

fn tag_link<'a>(snapshot: &Snapshot, name: &'a str, link: &TagLink) -> Listed<'a> {
    let tag = snapshot.tag(&link.target);
    let raw = format!("../{}/{}", link.target.repository, link.target.tag.folder());
    Listed {
        name,
        size: listed_size(tag.map_or(raw.len() as u64, |_| TAG_LINK_SIZE)),
        updated: tag.map_or(link.linktime, |tag| tag.updated),
        linktime: Some(link.linktime),
        kind: "taglink",
        target: Some(link.target.to_string()),
        bytes: None,
    }
}

/// The text of a link with this target, as hubs write it to their disk.
pub(super) fn raw_target(target: &LinkTarget, in_tag: bool) -> String {
    match (&target.repository, in_tag) {
        (None, _) => target.name.to_string(),
        (Some(repository), false) => format!("../{repository}/{}", target.name),
        (Some(repository), true) => format!("../../{repository}/{}", target.name),
    }
}

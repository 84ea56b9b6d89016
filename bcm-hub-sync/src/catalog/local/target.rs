//! Reads the text of the links in a hub's tree, without following them.

use std::ffi::OsStr;

use bcm_core::names::{EntryName, RepoName, TAG_PREFIX, TagName};

use crate::catalog::{LinkTarget, TagRef};

/// Where a link in a repository's folder leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To an flist, of this or of another repository.
    Flist(LinkTarget),
    /// To a tag's folder.
    Tag(TagRef),
}

/// Reads a link that is in the folder of the repository `home`.
pub(super) fn in_repository(home: &RepoName, text: &OsStr) -> Result<Place, String> {
    let parts = split(text)?;
    match parts.as_slice() {
        [name] if name.starts_with(TAG_PREFIX) => Ok(Place::Tag(tag_ref(home.clone(), name)?)),
        [name] => Ok(Place::Flist(LinkTarget {
            repository: None,
            name: entry(name)?,
        })),
        ["..", other, name] if name.starts_with(TAG_PREFIX) => {
            Ok(Place::Tag(tag_ref(repository(other)?, name)?))
        }
        ["..", other, name] => Ok(Place::Flist(LinkTarget {
            repository: Some(repository(other)?),
            name: entry(name)?,
        })),
        _ => Err(refusal(text)),
    }
}

/// Reads a link that is in the folder of a tag of the repository `home`. The target always names
/// its repository, as hubs' listings of tags do.
pub(super) fn in_tag(home: &RepoName, text: &OsStr) -> Result<LinkTarget, String> {
    let parts = split(text)?;
    let (repository, name) = match parts.as_slice() {
        ["..", "..", other, name] => (repository(other)?, name),
        ["..", name] => (home.clone(), name),
        _ => return Err(refusal(text)),
    };
    Ok(LinkTarget {
        repository: Some(repository),
        name: entry(name)?,
    })
}

/// The components, without a leading `./` and a trailing `/`.
fn split(text: &OsStr) -> Result<Vec<&str>, String> {
    let all = text
        .to_str()
        .ok_or_else(|| format!("links to {}, which is not UTF-8", text.to_string_lossy()))?;
    let text = all.strip_prefix("./").unwrap_or(all);
    let text = text.strip_suffix('/').unwrap_or(text);
    Ok(text.split('/').collect())
}

fn refusal(text: &OsStr) -> String {
    format!(
        "links to {:?}, which is no flist or tag of this tree",
        text.to_string_lossy()
    )
}

fn repository(name: &str) -> Result<RepoName, String> {
    RepoName::new(name)
        .map_err(|error| format!("links to a repository whose name is refused: {error}"))
}

fn entry(name: &str) -> Result<EntryName, String> {
    EntryName::new(name)
        .map_err(|error| format!("links to an flist whose name is refused: {error}"))
}

fn tag_ref(repository: RepoName, folder: &str) -> Result<TagRef, String> {
    let tag = folder.strip_prefix(TAG_PREFIX).unwrap_or(folder);
    let tag = TagName::new(tag)
        .map_err(|error| format!("links to a tag whose name is refused: {error}"))?;
    Ok(TagRef { repository, tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> RepoName {
        RepoName::new("home").unwrap()
    }

    #[test]
    fn the_forms_that_hubs_write_are_read() {
        let flist = |text: &str| match in_repository(&home(), text.as_ref()) {
            Ok(Place::Flist(target)) => target.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(flist("a.flist"), "a.flist");
        assert_eq!(flist("./a.flist"), "a.flist");
        assert_eq!(flist("../other/a.flist"), "other/a.flist");
        let tag = |text: &str| match in_repository(&home(), text.as_ref()) {
            Ok(Place::Tag(target)) => target.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(tag("../other/.tag-v1"), "other/tags/v1");
        assert_eq!(tag("../home/.tag-v1/"), "home/tags/v1");
        assert_eq!(tag(".tag-v1"), "home/tags/v1");
        let tagged = |text: &str| in_tag(&home(), text.as_ref()).unwrap().to_string();
        assert_eq!(tagged("../../other/a.flist"), "other/a.flist");
        assert_eq!(tagged("../a.flist"), "home/a.flist");
    }

    #[test]
    fn links_that_leave_the_tree_or_its_shape_are_refused() {
        for text in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../..",
            "../a.flist",
            "../../etc/passwd",
            "../../users/a/b.flist",
            "../a/../b.flist",
            "../a/b/c.flist",
            "../.tag-x/b.flist",
            "../a/.tag-",
            "../a/.tag-v1/x.flist",
            ".tag-v1/x.flist",
            "../../../x",
            "a//b",
        ] {
            assert!(in_repository(&home(), text.as_ref()).is_err(), "{text:?}");
        }
        for text in [
            "",
            "a.flist",
            "../..",
            "../../a.flist",
            "../../../users/a/b.flist",
            "../../a/../b.flist",
            "../.tag-other/a.flist",
            "../.tag-other",
            "/etc/passwd",
        ] {
            assert!(in_tag(&home(), text.as_ref()).is_err(), "{text:?}");
        }
    }
}

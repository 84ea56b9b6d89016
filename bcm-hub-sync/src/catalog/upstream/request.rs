//! What to ask a hub for: pure functions from names to URLs.
//!
//! Names are percent-encoded as one path segment each, so a name cannot reach another endpoint.

use bcm_core::http::{Url, join};
use bcm_core::names::RepoName;

use crate::catalog::{FlistRef, TagRef};

/// All repositories, with when their folders were changed and which of them are official.
#[must_use]
pub fn repositories(hub: &Url) -> Url {
    join(hub, &["api", "repositories"])
}

/// The entries of all repositories in one answer. Not every hub has it.
#[must_use]
pub fn fileslist(hub: &Url) -> Url {
    join(hub, &["api", "fileslist"])
}

/// The entries of one repository.
#[must_use]
pub fn repository(hub: &Url, name: &RepoName) -> Url {
    join(hub, &["api", "flist", name.as_str()])
}

/// The links of a tag.
#[must_use]
pub fn tag(hub: &Url, tag: &TagRef) -> Url {
    let (repository, tag) = (tag.repository.as_str(), tag.tag.as_str());
    join(hub, &["api", "flist", repository, "tags", tag])
}

/// Exact size, time and MD5 of one entry.
#[must_use]
pub fn light(hub: &Url, flist: &FlistRef) -> Url {
    let (repository, name) = (flist.repository.as_str(), flist.name.as_str());
    join(hub, &["api", "flist", repository, name, "light"])
}

/// The bytes of an flist.
#[must_use]
pub fn flist(hub: &Url, flist: &FlistRef) -> Url {
    join(hub, &[flist.repository.as_str(), flist.name.as_str()])
}

/// The MD5 of an flist.
#[must_use]
pub fn md5(hub: &Url, flist: &FlistRef) -> Url {
    let file = format!("{}.md5", flist.name);
    join(hub, &[flist.repository.as_str(), &file])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment() {
        let hub: Url = "https://hub.example.test/mirror/".parse().unwrap();
        let name = FlistRef::try_from("al ice/a?b#c%2F..:latest.flist".to_owned()).unwrap();
        assert_eq!(
            flist(&hub, &name).as_str(),
            "https://hub.example.test/mirror/al%20ice/a%3Fb%23c%252F..:latest.flist"
        );
        assert!(md5(&hub, &name).as_str().ends_with(":latest.flist.md5"));
        assert!(light(&hub, &name).as_str().ends_with(":latest.flist/light"));
        let tag_ref = TagRef::try_from("tf-zos/tags/v1+x".to_owned()).unwrap();
        assert_eq!(
            tag(&hub, &tag_ref).path(),
            "/mirror/api/flist/tf-zos/tags/v1+x"
        );
        assert_eq!(repositories(&hub).path(), "/mirror/api/repositories");
        assert_eq!(fileslist(&hub).path(), "/mirror/api/fileslist");
    }
}

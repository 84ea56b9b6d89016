//! What is asked below `/api/flist/me`. Pure: the names in a [`Mine`] were checked.

use bcm_core::names::{EntryName, NameError, RepoName, TagName};
use bcm_core::serve::path::segments;
use hyper::Method;

use crate::publishing::flist_name;

/// What is asked of one's own repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mine {
    /// Whose token this is.
    Myself,
    /// What is in an flist.
    Inspect { name: EntryName, info: bool },
    /// Remove an entry.
    Delete { name: EntryName },
    /// Let `link` lead to `source` of the same repository.
    Link { source: EntryName, link: EntryName },
    /// Let `link` lead to another repository's flist.
    CrossLink {
        link: EntryName,
        repository: RepoName,
        source: EntryName,
    },
    /// Let `link` lead to a tag.
    CrossTag {
        link: EntryName,
        repository: RepoName,
        tag: TagName,
    },
    /// Put a link into a tag.
    Tag {
        tag: TagName,
        link: EntryName,
        repository: RepoName,
        source: EntryName,
    },
    /// Take it out.
    Untag { tag: TagName, link: EntryName },
    /// Give an entry another name.
    Rename { source: EntryName, to: EntryName },
    /// Copy another repository's flist.
    Promote {
        repository: RepoName,
        source: EntryName,
        name: EntryName,
    },
    /// An archive, to be packed.
    Upload,
    /// An flist, whose blocks are here.
    UploadFlist,
    /// One flist of several.
    Merge { target: EntryName },
}

/// Why nothing is asked that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// A name that nothing can have.
    Name(NameError),
    /// With these methods it would be something.
    Method(&'static str),
    /// There is no such path.
    Path,
}

impl From<NameError> for Unknown {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

/// What is there to be read.
const READ: &str = "GET, HEAD, INFO, DELETE";
/// The original hub changes things by `GET`; `POST` says better what happens.
const CHANGE: &str = "GET, POST";
const TAG: &str = "GET, POST, DELETE";
const POST: &str = "POST";

impl Mine {
    /// Reads a path and a method, as they came.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Unknown> {
        let segments = segments(path).ok_or(Unknown::Path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["api", "flist", "me", rest @ ..] = segments.as_slice() else {
            return Err(Unknown::Path);
        };
        let get = [Method::GET, Method::HEAD].contains(method);
        let change = [Method::GET, Method::POST].contains(method);
        let changes = |mine| match change {
            true => Ok(mine),
            false => Err(Unknown::Method(CHANGE)),
        };
        let repository = |name: &&str| RepoName::new(name);
        let tag = |name: &&str| TagName::new(name);
        match rest {
            [] if get => Ok(Self::Myself),
            [] => Err(Unknown::Method("GET, HEAD")),
            ["upload"] if method == Method::POST => Ok(Self::Upload),
            ["upload-flist"] if method == Method::POST => Ok(Self::UploadFlist),
            ["upload" | "upload-flist"] if method == Method::PUT => Err(Unknown::Method(POST)),
            [name] if method == Method::DELETE => Ok(Self::Delete {
                name: EntryName::new(name)?,
            }),
            [name] if get || method.as_str() == "INFO" => Ok(Self::Inspect {
                name: flist_name(name)?,
                info: !get,
            }),
            [_] => Err(Unknown::Method(READ)),
            ["merge", target] => match method == Method::POST {
                true => Ok(Self::Merge {
                    target: flist_name(target)?,
                }),
                false => Err(Unknown::Method(POST)),
            },
            ["promote", home, source, name] => changes(Self::Promote {
                repository: repository(home)?,
                source: flist_name(source)?,
                name: flist_name(name)?,
            }),
            [source, "link", link] => changes(Self::Link {
                source: flist_name(source)?,
                link: flist_name(link)?,
            }),
            [source, "rename", to] => changes(Self::Rename {
                source: flist_name(source)?,
                to: flist_name(to)?,
            }),
            [link, "crosslink", home, source] => changes(Self::CrossLink {
                link: flist_name(link)?,
                repository: repository(home)?,
                source: flist_name(source)?,
            }),
            [link, "crosstag", home, name] => changes(Self::CrossTag {
                link: EntryName::new(link)?,
                repository: repository(home)?,
                tag: tag(name)?,
            }),
            [name, link, "tag", home, source] => match method == Method::DELETE {
                true => Ok(Self::Untag {
                    tag: tag(name)?,
                    link: flist_name(link)?,
                }),
                false if change => Ok(Self::Tag {
                    tag: tag(name)?,
                    link: flist_name(link)?,
                    repository: repository(home)?,
                    source: flist_name(source)?,
                }),
                false => Err(Unknown::Method(TAG)),
            },
            _ => Err(Unknown::Path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, path: &str) -> Result<Mine, Unknown> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Mine::of(&method, &format!("/api/flist/me{path}"))
    }

    fn name(text: &str) -> EntryName {
        text.parse().unwrap()
    }

    #[test]
    fn the_original_hubs_paths_are_known_by_both_methods() {
        assert_eq!(of("GET", ""), Ok(Mine::Myself));
        assert_eq!(of("POST", "/upload"), Ok(Mine::Upload));
        assert_eq!(of("POST", "/upload-flist"), Ok(Mine::UploadFlist));
        let inspect = |name, info| Ok(Mine::Inspect { name, info });
        assert_eq!(of("GET", "/upload"), inspect(name("upload.flist"), false));
        assert_eq!(of("INFO", "/a"), inspect(name("a.flist"), true));
        assert_eq!(of("DELETE", "/a"), Ok(Mine::Delete { name: name("a") }));
        let (a, b) = (name("a.flist"), name("b.flist"));
        let (home, tag): (RepoName, TagName) = ("r".parse().unwrap(), "t".parse().unwrap());
        for method in ["GET", "POST"] {
            for (path, mine) in [
                (
                    "/a/link/b.flist",
                    Mine::Link {
                        source: a.clone(),
                        link: b.clone(),
                    },
                ),
                (
                    "/a/rename/b",
                    Mine::Rename {
                        source: a.clone(),
                        to: b.clone(),
                    },
                ),
                (
                    "/a/crosslink/r/b",
                    Mine::CrossLink {
                        link: a.clone(),
                        repository: home.clone(),
                        source: b.clone(),
                    },
                ),
                (
                    "/a/crosstag/r/t",
                    Mine::CrossTag {
                        link: name("a"),
                        repository: home.clone(),
                        tag: tag.clone(),
                    },
                ),
                (
                    "/t/a/tag/r/b",
                    Mine::Tag {
                        tag: tag.clone(),
                        link: a.clone(),
                        repository: home.clone(),
                        source: b.clone(),
                    },
                ),
                (
                    "/promote/r/a/b",
                    Mine::Promote {
                        repository: home.clone(),
                        source: a.clone(),
                        name: b.clone(),
                    },
                ),
            ] {
                assert_eq!(of(method, path), Ok(mine), "{method} {path}");
            }
        }
        let untag = Mine::Untag { tag, link: a };
        assert_eq!(of("DELETE", "/t/a/tag/r/b"), Ok(untag));
        assert_eq!(of("POST", "/merge/b"), Ok(Mine::Merge { target: b }));
        assert_eq!(of("GET", "/merge/b"), Err(Unknown::Method(POST)));
        assert_eq!(of("PUT", "/a"), Err(Unknown::Method(READ)));
        assert_eq!(of("DELETE", "/a/link/b"), Err(Unknown::Method(CHANGE)));
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for path in [
            "/..",
            "/a/link/..",
            "/x/crosslink/../a",
            "/.tag-x/link/b",
            "/a/rename/.tag-x",
        ] {
            let read = of("DELETE", path).and(of("GET", path));
            assert!(read.is_err(), "{path}: {read:?}");
        }
        for path in [
            "/%2e%2e/crosslink/%2e%2e/b",
            "/a/rename/b%0a",
            "/a%2fb",
            "/a%00",
        ] {
            assert!(of("GET", path).is_err(), "{path}");
        }
        assert_eq!(of("GET", "/a/b/c/d/e/f"), Err(Unknown::Path));
    }
}

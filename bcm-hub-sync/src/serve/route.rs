//! From the path of a request to what it asks for. Pure: the names in a [`Route`] have been
//! decoded once and checked, so nothing after this sees a path that could lead elsewhere.

use bcm_core::names::{EntryName, RepoName, TagName};
use bcm_core::serve::path::segments;

/// The suffix that flists have and other names of a repository do not.
pub(super) const FLIST_SUFFIX: &str = ".flist";

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Home,
    Search,
    Health,
    Metrics,
    ApiRepositories,
    ApiFlist,
    ApiFilesList,
    ApiRepository(RepoName),
    ApiTag(RepoName, TagName),
    ApiContents(RepoName, EntryName),
    ApiLight(RepoName, EntryName),
    ApiTagLink(RepoName, EntryName),
    ApiMetadata(RepoName, EntryName),
    /// What only a hub with accounts has.
    ApiMe,
    Repository(RepoName),
    Tag(RepoName, TagName),
    Download(RepoName, EntryName),
    TagDownload(RepoName, TagName, EntryName),
    Md5(RepoName, EntryName),
    FlistPage(RepoName, EntryName),
    /// A path of the inspecting kind with a name that no entry can have.
    NoSuchFlist,
    NotFound,
}

impl Route {
    /// Reads the path of a request's target, as it came.
    pub(super) fn of(path: &str) -> Self {
        let Some(segments) = segments(path) else {
            return Self::NotFound;
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            [] => Self::Home,
            ["search"] => Self::Search,
            ["healthz"] => Self::Health,
            ["metrics"] => Self::Metrics,
            ["api", rest @ ..] => Self::api(rest).unwrap_or(Self::NotFound),
            rest => Self::files(rest).unwrap_or(Self::NotFound),
        }
    }

    fn api(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["repositories"] => Self::ApiRepositories,
            ["fileslist"] => Self::ApiFilesList,
            ["flist"] => Self::ApiFlist,
            ["flist", "me", ..] => Self::ApiMe,
            ["flist", repository] => Self::ApiRepository(RepoName::new(repository).ok()?),
            ["flist", repository, "tags", tag] => {
                Self::ApiTag(RepoName::new(repository).ok()?, TagName::new(tag).ok()?)
            }
            ["flist", repository, name] => inspect(Self::ApiContents, repository, &suffixed(name)),
            ["flist", repository, name, "light"] => {
                inspect(Self::ApiLight, repository, &suffixed(name))
            }
            ["flist", repository, name, "metadata"] => {
                inspect(Self::ApiMetadata, repository, &suffixed(name))
            }
            ["flist", repository, name, "taglink"] => inspect(Self::ApiTagLink, repository, name),
            _ => return None,
        })
    }

    fn files(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            [repository] => Self::Repository(RepoName::new(repository).ok()?),
            [repository, "tags", tag] => {
                Self::Tag(RepoName::new(repository).ok()?, TagName::new(tag).ok()?)
            }
            [repository, "tags", tag, name] if name.ends_with(FLIST_SUFFIX) => Self::TagDownload(
                RepoName::new(repository).ok()?,
                TagName::new(tag).ok()?,
                EntryName::new(name).ok()?,
            ),
            [repository, file] => {
                let repository = RepoName::new(repository).ok()?;
                if file.ends_with(FLIST_SUFFIX) {
                    Self::Download(repository, EntryName::new(file).ok()?)
                } else if let Some(name) = file.strip_suffix(".md5") {
                    if !name.ends_with(FLIST_SUFFIX) {
                        return None;
                    }
                    Self::Md5(repository, EntryName::new(name).ok()?)
                } else if let Some(name) = file.strip_suffix(".md") {
                    Self::FlistPage(repository, EntryName::new(suffixed(name)).ok()?)
                } else {
                    return None;
                }
            }
            _ => return None,
        })
    }
}

fn inspect(route: fn(RepoName, EntryName) -> Route, repository: &str, name: &str) -> Route {
    match (RepoName::new(repository), EntryName::new(name)) {
        (Ok(repository), Ok(name)) => route(repository, name),
        _ => Route::NoSuchFlist,
    }
}

/// Hubs take an flist's name with and without its suffix.
fn suffixed(name: &str) -> String {
    if name.ends_with(FLIST_SUFFIX) {
        name.to_owned()
    } else {
        format!("{name}{FLIST_SUFFIX}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bcm_core::serve::path::encode;
    use proptest::prelude::*;

    fn repository(name: &str) -> RepoName {
        RepoName::new(name).unwrap()
    }

    fn entry(name: &str) -> EntryName {
        EntryName::new(name).unwrap()
    }

    #[test]
    fn every_kind_of_path_is_known() {
        let tag = TagName::new("v1").unwrap();
        let r = repository("r");
        let f = entry("f.flist");
        for (path, route) in [
            ("/", Route::Home),
            ("/search", Route::Search),
            ("/healthz", Route::Health),
            ("/api/repositories", Route::ApiRepositories),
            ("/api/flist", Route::ApiFlist),
            ("/api/flist/", Route::ApiFlist),
            ("/api/fileslist", Route::ApiFilesList),
            ("/api/flist/r", Route::ApiRepository(r.clone())),
            (
                "/api/flist/r/tags/v1",
                Route::ApiTag(r.clone(), tag.clone()),
            ),
            (
                "/api/flist/r/f.flist",
                Route::ApiContents(r.clone(), f.clone()),
            ),
            ("/api/flist/r/f", Route::ApiContents(r.clone(), f.clone())),
            (
                "/api/flist/r/f.flist/light",
                Route::ApiLight(r.clone(), f.clone()),
            ),
            (
                "/api/flist/r/f.flist/metadata",
                Route::ApiMetadata(r.clone(), f.clone()),
            ),
            (
                "/api/flist/r/v/taglink",
                Route::ApiTagLink(r.clone(), entry("v")),
            ),
            ("/api/flist/me", Route::ApiMe),
            ("/api/flist/me/a/b/c", Route::ApiMe),
            ("/r", Route::Repository(r.clone())),
            ("/r/tags/v1", Route::Tag(r.clone(), tag.clone())),
            ("/r/f.flist", Route::Download(r.clone(), f.clone())),
            (
                "/r/tags/v1/f.flist",
                Route::TagDownload(r.clone(), tag, f.clone()),
            ),
            ("/r/f.flist.md5", Route::Md5(r.clone(), f.clone())),
            ("/r/f.flist.md", Route::FlistPage(r.clone(), f.clone())),
            ("/r/f.md", Route::FlistPage(r, f)),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn names_are_decoded_once() {
        assert_eq!(
            Route::of("/a%20b/x+y%3A%C3%BC%2525.flist"),
            Route::Download(repository("a b"), entry("x+y:ü%25.flist"))
        );
    }

    #[test]
    fn path_tricks_are_not_found() {
        for path in [
            "",
            "*",
            "r",
            "//",
            "/r//f.flist",
            "/../etc/passwd",
            "/../x.flist",
            "/%2e%2e/x.flist",
            "/r/%2e%2e%2f%2e%2e%2fx.flist",
            "/r/..%2fx.flist",
            "/r%2fx.flist",
            "/r/x%00.flist",
            "/r/x%0a.flist",
            "/r/%ff.flist",
            "/r/%zz.flist",
            "/r/%2",
            "/.tag-v1/x.flist",
            "/r/.tag-v1",
            "/r/tags/..",
            "/r/tags/v1/../x.flist",
            "/r/tags/v1/%2e%2e/x.flist",
            "/r/tags/v1/x.md5",
            "/r/x.md5",
            "/r/x.exe",
            "/api/flist/..",
            "/api/flist/r/tags/..",
            "/api/other",
        ] {
            assert_eq!(Route::of(path), Route::NotFound, "{path}");
        }
        for path in [
            "/api/flist/../x",
            "/api/flist/r/.tag-x/light",
            "/api/flist/r/../taglink",
        ] {
            assert_eq!(Route::of(path), Route::NoSuchFlist, "{path}");
        }
    }

    proptest! {
        #[test]
        fn an_encoded_name_comes_back(name in "\\PC{1,30}") {
            prop_assume!(bcm_core::names::check(&name).is_ok());
            let path = format!("/r/{}.flist", encode(&name));
            prop_assert_eq!(
                Route::of(&path),
                Route::Download(repository("r"), entry(&format!("{name}.flist")))
            );
        }
    }
}

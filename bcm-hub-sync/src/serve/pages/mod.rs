//! Pages for people: made on the server, without script, readable on a phone and on paper.

mod flist;
mod home;
mod repository;
mod search;

use std::sync::Arc;

use bcm_core::names::{RepoName, TagName};
use bcm_core::serve::pages::{self, Crumb, Site, format};
use bcm_core::serve::path::{encode, query_value};
use maud::{Markup, html};

use super::app::App;
use super::response::Asked;
use super::route::Route;
use super::snapshot::Snapshot;

/// A page that only needs a snapshot.
#[derive(Debug)]
pub(super) struct Page {
    snapshot: Arc<Snapshot>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Home { upstream: Option<String> },
    Repository(RepoName),
    Tag(RepoName, TagName),
    Search { query: String },
}

impl Page {
    /// The page of a route; `None` where there is nothing.
    pub(super) fn of(
        app: &App,
        asked: &Asked<'_>,
        route: &Route,
        snapshot: &Arc<Snapshot>,
    ) -> Option<Self> {
        let kind = match route {
            Route::Home => Kind::Home {
                upstream: app
                    .upstream
                    .clone()
                    .or_else(|| snapshot.upstream().map(bcm_core::redact::url)),
            },
            Route::Search => Kind::Search {
                query: query_value(asked.query, "q").unwrap_or_default(),
            },
            Route::Repository(name) => {
                snapshot.repository(name)?;
                Kind::Repository(name.clone())
            }
            Route::Tag(name, tag) => {
                snapshot.tag_of(name, tag)?;
                Kind::Tag(name.clone(), tag.clone())
            }
            _ => return None,
        };
        Some(Self {
            snapshot: Arc::clone(snapshot),
            kind,
        })
    }

    pub(super) fn render(&self) -> String {
        let snapshot = &self.snapshot;
        let page = match &self.kind {
            Kind::Home { upstream } => home::page(snapshot, upstream.as_deref()),
            Kind::Repository(name) => repository::page(snapshot, name),
            Kind::Tag(name, tag) => repository::tag_page(snapshot, name, tag),
            Kind::Search { query } => search::page(snapshot, query),
        };
        page.into_string()
    }
}

/// The page for what is not there.
pub(super) fn not_found(path: &str) -> String {
    let body = html! {
        h1 { "There is nothing here" }
        p.lead { "There is no page at " code { (path) } "." }
        p { "It may have been removed or renamed. Try the list of "
            a href="/" { "all repositories" } ", or search:" }
        (search_form("", true))
    };
    frame("Not found", &[], "", &body).into_string()
}

/// The page for what cannot be answered now.
pub(super) fn failure(message: &str) -> String {
    let body = html! {
        h1 { "This cannot be shown right now" }
        p.lead { "The server says: " (message) "." }
        p { a href="/" { "All repositories" } }
    };
    frame("Not available", &[], "", &body).into_string()
}

/// A step of the way that is a repository.
fn repository_crumb(name: &RepoName) -> Crumb {
    Crumb {
        text: name.to_string(),
        href: repository_href(name),
    }
}

/// A whole page. `crumbs` lead to it from the list of repositories; `here` is its own last step,
/// empty on pages outside that order.
fn frame(title: &str, crumbs: &[Crumb], here: &str, body: &Markup) -> Markup {
    let site = Site {
        name: "Flist hub mirror",
        home: "Repositories",
        header: search_form("", false),
        programs: &[
            ("repositories", "/api/repositories"),
            ("all entries", "/api/fileslist"),
            ("health", "/healthz"),
        ],
    };
    pages::frame(&site, title, crumbs, here, body)
}

fn search_form(query: &str, in_page: bool) -> Markup {
    let label = "Search flists, tags and repositories";
    html! {
        form.find action="/search" role="search" {
            input type="search" name="q" value=(query) aria-label=(label)
                placeholder=(if in_page { label } else { "Search" }) autocomplete="off" spellcheck="false";
            button { "Search" }
        }
    }
}

fn repository_href(name: &RepoName) -> String {
    format!("/{}", encode(name.as_str()))
}

fn tag_href(name: &RepoName, tag: &TagName) -> String {
    format!("/{}/tags/{}", encode(name.as_str()), encode(tag.as_str()))
}

/// The download of an entry of a repository.
fn download_href(repository: &RepoName, name: &str) -> String {
    format!("/{}/{}", encode(repository.as_str()), encode(name))
}

/// The page of an flist.
fn flist_href(repository: &RepoName, name: &str) -> String {
    format!("{}.md", download_href(repository, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_is_escaped() {
        let page = not_found("/<script>alert(1)</script>&\"");
        assert!(!page.contains("<script"), "{page}");
        let page = frame("<b>", &[], "<i>", &html! {}).into_string();
        assert!(!page.contains("<b>") && !page.contains("<i>"));
    }
}

//! Pages for people: made on the server, without script, readable on a phone and on paper.

mod flist;
mod format;
mod home;
mod repository;
mod search;

use std::sync::{Arc, LazyLock};

use bcm_core::digest::Sha256;
use bcm_core::names::{RepoName, TagName};
use hyper::header::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::app::App;
use super::response::Asked;
use super::route::{Route, encode, query_value};
use super::snapshot::Snapshot;

/// The whole style. Small enough to come with every page, so that a page is one request.
const STYLE: &str = include_str!("style.css");

/// The icon: two sheets, one behind the other.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E\
    %3Crect x='9' y='3' width='19' height='22' rx='3' fill='%237cc7cf'/%3E\
    %3Crect x='4' y='7' width='19' height='22' rx='3' fill='%230b5d66'/%3E%3C/svg%3E";

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
        p.lead { "This mirror has no page at " code { (path) } "." }
        p { "It may have been removed or renamed upstream. Try the list of "
            a href="/" { "all repositories" } ", or search:" }
        (search_form("", true))
    };
    frame("Not found", &[], "", &body).into_string()
}

/// The page for what cannot be answered now.
pub(super) fn failure(message: &str) -> String {
    let body = html! {
        h1 { "This cannot be shown right now" }
        p.lead { "The mirror says: " (message) "." }
        p { a href="/" { "All repositories" } }
    };
    frame("Not available", &[], "", &body).into_string()
}

/// What may happen on a page: its own style and icon, and a search.
pub(super) fn content_security_policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = base64(&Sha256::of(STYLE.as_bytes()).0);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'"
        );
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    });
    POLICY.clone()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let value = u32::from_be_bytes(padded);
        for place in 0..4 {
            if place <= group.len() {
                let digit = (value >> (18 - 6 * place)) & 63;
                text.push(char::from(DIGITS[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// One step on the way to a page.
struct Crumb {
    text: String,
    href: String,
}

impl Crumb {
    fn new(text: impl ToString, href: String) -> Self {
        Self {
            text: text.to_string(),
            href,
        }
    }

    fn repository(name: &RepoName) -> Self {
        Self::new(name, repository_href(name))
    }
}

/// A whole page. `crumbs` lead to it from the list of repositories; `here` is its own last step,
/// empty on pages outside that order.
fn frame(title: &str, crumbs: &[Crumb], here: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · Flist hub mirror" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href=(PreEscaped(ICON));
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    div.wrap {
                        a.brand href="/" { "Flist hub mirror" }
                        (search_form("", false))
                    }
                }
                div.wrap {
                    @if !here.is_empty() {
                        nav.crumbs aria-label="Breadcrumb" {
                            ol {
                                li { a href="/" { "Repositories" } }
                                @for crumb in crumbs {
                                    li { a href=(crumb.href) { (crumb.text) } }
                                }
                                li aria-current="page" { (here) }
                            }
                        }
                    }
                    main id="content" { (body) }
                }
                footer {
                    div.wrap {
                        p { "An independent mirror. It changes only by following its upstream." }
                        p {
                            "For programs: " a href="/api/repositories" { "repositories" } ", "
                            a href="/api/fileslist" { "all entries" } ", "
                            a href="/healthz" { "health" } "."
                        }
                    }
                }
            }
        }
    }
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
    fn base64_of_known_texts() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn what_came_from_outside_is_escaped() {
        let page = not_found("/<script>alert(1)</script>&\"");
        assert!(!page.contains("<script"), "{page}");
        let page = frame("<b>", &[], "<i>", &html! {}).into_string();
        assert!(!page.contains("<b>") && !page.contains("<i>"));
    }
}

//! `/REPO/FLIST.md`: an flist, what it is for, and what is in it.

use std::sync::Arc;

use bcm_core::digest::Md5;
use bcm_core::names::{EntryName, RepoName};
use hyper::header::{HOST, HeaderMap};
use maud::{Markup, html};

use super::format::{number, size, time};
use super::{download_href, flist_href, frame, repository_crumb};
use crate::catalog::{Entry, FlistRef};
use crate::flist::Contents;
use crate::serve::api::asset;
use crate::serve::app::App;
use crate::serve::failure::{Failure, Missing};
use crate::serve::inspect::Inspected;
use crate::serve::json::{self, Json};
use crate::serve::response::Asked;
use crate::serve::snapshot::Snapshot;
use bcm_core::serve::path::{encode, query_value};

/// How many paths are on one page.
const PER_PAGE: usize = 500;

/// Everything that the page shows.
#[derive(Debug)]
pub(in crate::serve) struct FlistPage {
    repository: RepoName,
    name: EntryName,
    /// For a link: where it leads by its own text, and when it was made.
    link: Option<(FlistRef, i64)>,
    file: Option<File>,
    /// The address of this server as the browser knows it, such as `http://mirror:8080`.
    origin: String,
    page: usize,
}

/// The file that the name leads to.
#[derive(Debug)]
struct File {
    bytes: u64,
    updated: i64,
    md5: Md5,
    inspected: Option<Arc<Inspected>>,
}

impl App {
    /// Collects what the page of an flist shows.
    pub(in crate::serve) async fn flist_page(
        &self,
        asked: &Asked<'_>,
        snapshot: &Snapshot,
        repository: &RepoName,
        name: &EntryName,
    ) -> Result<FlistPage, Failure> {
        const NO_PAGE: Failure = Failure::NotFound(Missing::Page);
        let asset = asset(snapshot, repository, name).map_err(|_| NO_PAGE)?;
        let link = match asset.entry {
            Entry::Regular(_) => None,
            Entry::Symlink(link) => Some((link.target.resolve(repository), link.linktime)),
            Entry::TagLink(_) => return Err(NO_PAGE),
        };
        let file = match asset.found {
            None => None,
            Some(found) => Some(File {
                bytes: found.identity.size,
                updated: found.file.updated,
                md5: self.checksums.of(&found).await?,
                inspected: match self.inspector.of(&found).await {
                    Ok(inspected) => Some(inspected),
                    Err(Failure::Changed) => return Err(Failure::Changed),
                    Err(failure) => {
                        let reason = std::error::Error::source(&failure).map(ToString::to_string);
                        tracing::warn!(%failure, reason, "shown without its contents");
                        None
                    }
                },
            }),
        };
        let page = query_value(asked.query, "page").and_then(|page| page.parse().ok());
        Ok(FlistPage {
            repository: repository.clone(),
            name: name.clone(),
            link,
            file,
            origin: origin(asked.headers),
            page: page.unwrap_or(1).max(1),
        })
    }
}

/// What the browser calls this server. The headers come from anywhere, so nothing but a plain host
/// is taken, and it is only ever shown as text.
fn origin(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST.as_str())
        .filter(|host| {
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
            (1..=260).contains(&host.len()) && host.chars().all(plain)
        })
        .unwrap_or("THIS-MIRROR");
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}")
}

impl FlistPage {
    pub(in crate::serve) fn render(&self) -> String {
        let href = download_href(&self.repository, self.name.as_str());
        let body = html! {
            h1 { (self.name) }
            @match &self.file {
                None => p.note { "This link leads nowhere: upstream has removed what it led to, or never had it." },
                Some(file) => a.get href=(href) download { "Download " (size(file.bytes)) },
            }
            (self.properties())
            @if let Some(file) = &self.file {
                (self.usage(&href))
                @match &file.inspected {
                    Some(inspected) => {
                        (metadata(inspected))
                        (self.contents(&inspected.contents))
                    }
                    None => p.note { "What is in this flist cannot be shown: it is damaged, or too large to be looked into." },
                }
            }
        };
        let crumbs = [repository_crumb(&self.repository)];
        let title = format!("{}/{}", self.repository, self.name);
        frame(&title, &crumbs, self.name.as_str(), &body).into_string()
    }

    fn properties(&self) -> Markup {
        html! {
            dl.props {
                @if let Some((target, linktime)) = &self.link {
                    dt { "Link to" }
                    dd {
                        @if self.file.is_some() {
                            a href=(flist_href(&target.repository, target.name.as_str())) { (target) }
                        } @else {
                            (target)
                        }
                    }
                    dt { "Link set" }
                    dd { (time(*linktime)) " UTC" }
                }
                @if let Some(file) = &self.file {
                    dt { "Changed" }
                    dd { (time(file.updated)) " UTC" }
                    dt { "MD5" }
                    dd { code { (file.md5) } }
                    @if let Some(inspected) = &file.inspected {
                        dt { "Unpacked" }
                        dd { (size(inspected.contents.fullsize)) " in " (totals(&inspected.contents)) }
                    }
                }
            }
        }
    }

    fn usage(&self, href: &str) -> Markup {
        let url = format!("{}{href}", self.origin);
        // Curl keeps the name as it is in the URL.
        let saved = encode(self.name.as_str());
        // Quoted for a shell: the path is percent-encoded, so no quote is in it.
        html! {
            h2 { "Use it" }
            p { "A Zero-OS workload takes this address as its flist:" }
            pre { code { (url) } }
            p { "Or look at it here:" }
            pre { code { "curl --remote-name '" (url) "'\nbcm flist ls '" (saved) "'" } }
        }
    }

    fn contents(&self, contents: &Contents) -> Markup {
        let all = &contents.content;
        let pages = all.len().div_ceil(PER_PAGE).max(1);
        let page = self.page.min(pages);
        let first = (page - 1) * PER_PAGE;
        let shown = &all[first..all.len().min(first + PER_PAGE)];
        html! {
            h2 id="contents" { "Contents" span.count { (number(all.len() as u64)) } }
            @if all.is_empty() {
                p { "This flist is empty." }
            } @else {
                (self.pager(page, pages))
                table {
                    thead { tr { th.name scope="col" { "Path" } th.num scope="col" { "Size" } } }
                    tbody {
                        @for file in shown {
                            tr { td.path { (file.path) } td.num { (size(file.size)) } }
                        }
                    }
                }
                (self.pager(page, pages))
            }
        }
    }

    fn pager(&self, page: usize, pages: usize) -> Markup {
        let href = |page: usize| {
            let here = flist_href(&self.repository, self.name.as_str());
            format!("{here}?page={page}#contents")
        };
        html! {
            @if pages > 1 {
                nav.pages aria-label="Pages of the contents" {
                    @if page > 1 { a href=(href(page - 1)) rel="prev" { "← Previous" } }
                    span.soft { "Page " (page) " of " (pages) }
                    @if page < pages { a href=(href(page + 1)) rel="next" { "Next →" } }
                }
            }
        }
    }
}

/// `12 files, 16 directories, 3 links`
fn totals(contents: &Contents) -> String {
    let kinds = [
        (contents.regular, "file", "files"),
        (contents.directory, "directory", "directories"),
        (contents.symlink, "link", "links"),
        (contents.special, "special file", "special files"),
    ];
    let parts: Vec<String> = kinds
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| {
            format!(
                "{} {}",
                number(*count),
                if *count == 1 { one } else { many }
            )
        })
        .collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

fn metadata(inspected: &Inspected) -> Markup {
    html! {
        @if !inspected.metadata.0.is_empty() {
            h2 { "Metadata" }
            dl.props {
                @for (name, value) in &inspected.metadata.0 {
                    dt { (name) }
                    dd { pre { code { (shown(value)) } } }
                }
            }
        }
    }
}

/// Text as it is, JSON as JSON.
fn shown(value: &Json) -> String {
    match value {
        Json::Text(text) => text.clone(),
        value => {
            let bytes = json::to_bytes(value).unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim_end().to_owned()
        }
    }
}

//! `/REPO` and `/REPO/tags/TAG`.

use bcm_core::names::{RepoName, TagName};
use maud::{Markup, html};

use super::format::{counted, natural, number, size, time};
use super::{flist_href, frame, repository_crumb, tag_href};
use crate::catalog::{Entry, FlistRef, Repository, Symlink, Tag};
use crate::serve::snapshot::Snapshot;
use bcm_core::serve::path::encode;

pub(super) fn page(snapshot: &Snapshot, name: &RepoName) -> Markup {
    let empty = Repository::default();
    let repository = snapshot.repository(name).unwrap_or(&empty);
    let tag_links = repository
        .entries
        .values()
        .filter(|entry| matches!(entry, Entry::TagLink(_)))
        .count();
    let flists = repository.entries.len() - tag_links;
    let body = html! {
        h1 {
            (name)
            @if repository.official { span.badge { "official" } }
        }
        p.soft { "Changed " (time(repository.updated)) " UTC" }
        @if repository.entries.is_empty() && repository.tags.is_empty() {
            p { "This repository is empty." }
        }
        @if tag_links > 0 {
            h2 { "Channels" span.count { (number(tag_links as u64)) } }
            p.soft { "A channel leads to the tag that is current for it." }
            (channels(snapshot, repository))
        }
        @if !repository.tags.is_empty() {
            h2 { "Tags" span.count { (number(repository.tags.len() as u64)) } }
            (tags(name, repository))
        }
        @if flists > 0 {
            h2 { "Flists" span.count { (number(flists as u64)) } }
            (entries(snapshot, name, repository))
        }
    };
    frame(name.as_str(), &[], name.as_str(), &body)
}

fn channels(snapshot: &Snapshot, repository: &Repository) -> Markup {
    html! {
        table {
            thead { tr { th.name scope="col" { "Channel" } th.when scope="col" { "Set (UTC)" } } }
            tbody {
                @for (name, entry) in &repository.entries {
                    @if let Entry::TagLink(link) = entry {
                        tr {
                            td.name {
                                @if snapshot.tag(&link.target).is_some() {
                                    a href=(tag_href(&link.target.repository, &link.target.tag)) { (name) }
                                    span.to { "→ " (link.target.repository) ", tag " (link.target.tag) }
                                } @else {
                                    (name)
                                    span.to { "→ " (link.target) ", which is not here" }
                                }
                            }
                            td.when { (time(link.linktime)) }
                        }
                    }
                }
            }
        }
    }
}

/// The newest version first.
fn tags(home: &RepoName, repository: &Repository) -> Markup {
    let mut tags: Vec<_> = repository.tags.iter().collect();
    tags.sort_by(|(a, _), (b, _)| natural(b.as_str(), a.as_str()));
    html! {
        table {
            thead {
                tr {
                    th.name scope="col" { "Tag" }
                    th.num scope="col" { "Links" }
                    th.when scope="col" { "Changed (UTC)" }
                }
            }
            tbody {
                @for (name, tag) in tags {
                    tr {
                        td.name { a href=(tag_href(home, name)) { (name) } }
                        (counted(tag.links.len(), "link", "links"))
                        td.when { (time(tag.updated)) }
                    }
                }
            }
        }
    }
}

fn entries(snapshot: &Snapshot, home: &RepoName, repository: &Repository) -> Markup {
    html! {
        table {
            (entries_head())
            tbody {
                @for (name, entry) in &repository.entries {
                    @match entry {
                        Entry::Regular(file) => tr {
                            td.name { a href=(flist_href(home, name.as_str())) { (name) } }
                            td.num { (size(file.size.unwrap_or(0))) }
                            td.when { (time(file.updated)) }
                        },
                        Entry::Symlink(link) => {
                            (link_row(snapshot, home, name.as_str(), Some(&flist_href(home, name.as_str())), link))
                        },
                        Entry::TagLink(_) => {},
                    }
                }
            }
        }
    }
}

fn entries_head() -> Markup {
    html! {
        thead {
            tr {
                th.name scope="col" { "Name" }
                th.num scope="col" { "Size" }
                th.when scope="col" { "Changed (UTC)" }
            }
        }
    }
}

fn link_row(
    snapshot: &Snapshot,
    home: &RepoName,
    name: &str,
    href: Option<&str>,
    link: &Symlink,
) -> Markup {
    let reference = link.target.resolve(home);
    let found = snapshot.follow(&reference);
    html! {
        tr {
            td.name {
                @match href {
                    Some(href) => a href=(href) { (name) },
                    None => (name),
                }
                span.to { "→ " (target(home, &reference)) }
            }
            @match found {
                Some(found) => {
                    td.num { (size(found.identity.size)) }
                    td.when { (time(found.file.updated)) }
                }
                None => {
                    td.num { "leads nowhere" }
                    td.when { (time(link.linktime)) }
                }
            }
        }
    }
}

/// Where a link leads, in few words.
fn target(home: &RepoName, reference: &FlistRef) -> String {
    if &reference.repository == home {
        reference.name.to_string()
    } else {
        reference.to_string()
    }
}

pub(super) fn tag_page(snapshot: &Snapshot, home: &RepoName, name: &TagName) -> Markup {
    let empty = Tag::default();
    let tag = snapshot.tag_of(home, name).unwrap_or(&empty);
    let channels = snapshot
        .repository(home)
        .into_iter()
        .flat_map(|repository| &repository.entries)
        .filter(|(_, entry)| match entry {
            Entry::TagLink(link) => &link.target.repository == home && &link.target.tag == name,
            _ => false,
        })
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>();
    let body = html! {
        h1 {
            (name)
            @for channel in channels { span.badge { (channel) } }
        }
        p.lead { "A tag of " (home) ": flists that belong together." }
        p.soft { "Changed " (time(tag.updated)) " UTC" }
        @if tag.links.is_empty() {
            p { "This tag is empty." }
        } @else {
            h2 { "Flists" span.count { (number(tag.links.len() as u64)) } }
            table {
                (entries_head())
                tbody {
                    @for (link_name, link) in &tag.links {
                        @let reference = link.target.resolve(home);
                        @let leads = snapshot.entry(&reference.repository, &reference.name).is_some();
                        @let href = flist_href(&reference.repository, reference.name.as_str());
                        (link_row(snapshot, home, link_name.as_str(), leads.then_some(&href), link))
                    }
                }
            }
            p.soft {
                "Download one with "
                code { (tag_href(home, name)) "/NAME" }
                ", such as "
                @if let Some(first) = tag.links.keys().next() {
                    a href={ (tag_href(home, name)) "/" (encode(first.as_str())) } { (first) }
                }
                "."
            }
        }
    };
    let crumbs = [repository_crumb(home)];
    frame(
        &format!("{home} {name}"),
        &crumbs,
        &format!("tag {name}"),
        &body,
    )
}

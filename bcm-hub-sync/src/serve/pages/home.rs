//! `/`: what this is, and all repositories.

use bcm_core::names::RepoName;
use maud::{Markup, html};

use super::format::{counted, number, size, time};
use super::{frame, repository_href};
use crate::catalog::Repository;
use crate::serve::snapshot::Snapshot;

pub(super) fn page(snapshot: &Snapshot, upstream: Option<&str>) -> Markup {
    let counts = snapshot.counts;
    let (official, others): (Vec<_>, Vec<_>) = snapshot
        .repositories()
        .partition(|(_, repository)| repository.official);
    let body = html! {
        @if snapshot.mode().is_writable() {
            h1 { "A Zero-OS hub" }
            p.lead {
                "It stands alone (" (snapshot.mode().as_str()) "): its operators publish in it. It holds \
                 flists, which describe file trees, and serves them to Zero-OS machines and to you."
            }
        } @else {
            h1 { "A mirror of " (upstream.unwrap_or("a Zero-OS hub")) }
            p.lead {
                "Independent and read-only. It holds flists, which describe file trees, and serves them to \
                 Zero-OS machines and to you."
            }
        }
        dl.facts {
            div { dt { "Repositories" } dd { (number(counts.repositories as u64)) } }
            div { dt { "Flists" } dd { (number(counts.flists as u64)) } }
            div { dt { "Tags" } dd { (number(counts.tags as u64)) } }
            div { dt { "Size of all flists" } dd { (size(counts.bytes)) } }
            @if let Some(synced) = snapshot.last_success() {
                div { dt { "In step with upstream (UTC)" } dd { (time(synced)) } }
            }
        }
        @if counts.repositories == 0 {
            @if snapshot.mode().is_writable() {
                p { "Nothing has been published yet." }
            } @else {
                p { "Nothing has been mirrored yet." }
            }
        }
        (section("Official repositories", &official))
        (section(if official.is_empty() { "Repositories" } else { "Other repositories" }, &others))
    };
    frame("Repositories", &[], "", &body)
}

fn section(title: &str, repositories: &[(&RepoName, &Repository)]) -> Markup {
    html! {
        @if !repositories.is_empty() {
            h2 { (title) span.count { (number(repositories.len() as u64)) } }
            table {
                thead {
                    tr {
                        th.name scope="col" { "Repository" }
                        th.num scope="col" { "Entries" }
                        th.num scope="col" { "Tags" }
                        th.when scope="col" { "Changed (UTC)" }
                    }
                }
                tbody {
                    @for (name, repository) in repositories { (row(name, repository)) }
                }
            }
        }
    }
}

fn row(name: &RepoName, repository: &Repository) -> Markup {
    html! {
        tr {
            td.name { a href=(repository_href(name)) { (name) } }
            (counted(repository.entries.len(), "entry", "entries"))
            (counted(repository.tags.len(), "tag", "tags"))
            td.when { (time(repository.updated)) }
        }
    }
}

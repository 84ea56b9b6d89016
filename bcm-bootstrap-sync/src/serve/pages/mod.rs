//! Pages for people: what this is, the kernels, and making a boot medium.

pub(super) mod generate;

use bcm_core::serve::pages::format::{number, size, time};
use bcm_core::serve::pages::{Site, frame};
use bcm_core::serve::path::encode;
use maud::{Markup, html};

use super::snapshot::Snapshot;
use crate::local::LocalLink;
use crate::run_mode::{RunMode, RunModes};

fn site(title: &str, here: &str, body: &Markup) -> String {
    let site = Site {
        name: "Zero-OS bootstrap mirror",
        home: "Start",
        header: html! {
            nav.links aria-label="Pages" {
                a href="/generate" { "Make a medium" }
                a href="/expert" { "Expert" }
                a href="/images" { "Kernels" }
            }
        },
        programs: &[("kernels", "/api/images"), ("health", "/healthz")],
    };
    frame(&site, title, &[], here, body).into_string()
}

/// The page for what is not there.
pub(super) fn not_found(path: &str) -> String {
    let body = html! {
        h1 { "There is nothing here" }
        p.lead { "This mirror has no page at " code { (path) } "." }
        p { a href="/" { "Start" } " · " a href="/images" { "All kernels" } }
    };
    site("Not found", "", &body)
}

/// The page for what cannot be answered now.
pub(super) fn failure(message: &str) -> String {
    let body = html! {
        h1 { "This is not possible right now" }
        p.lead { "The mirror says: " (message) "." }
        p { a href="/" { "Start" } }
    };
    site("Not available", "", &body)
}

/// `/`
pub(super) fn home(snapshot: &Snapshot, modes: &RunModes, upstream: Option<&str>) -> String {
    let upstream = upstream.or(snapshot.manifest.upstream.as_deref());
    let upstream = upstream.map(|url| url.trim_end_matches('/'));
    let kernels = &snapshot.local.kernels;
    let bytes = kernels.values().map(|identity| identity.size).sum();
    let body = html! {
        h1 { "Boot a Zero-OS node" }
        p.lead {
            "An independent, read-only mirror of " (upstream.unwrap_or("a Zero-OS bootstrap"))
            ". Make a boot medium with your farm's id, start a machine from it, and it joins the grid."
        }
        p { a.get href="/generate" { "Make a boot medium" } }
        dl.facts {
            div { dt { "Kernels" } dd { (number(kernels.len() as u64)) } }
            div { dt { "Size of all kernels" } dd { (size(bytes)) } }
            @if let Some(synced) = snapshot.manifest.last_success {
                div { dt { "In step with upstream (UTC)" } dd { (time(synced)) } }
            }
        }
        (mode_table(snapshot, modes))
    };
    site("Start", "", &body)
}

/// `/images`
pub(super) fn images(snapshot: &Snapshot, modes: &RunModes) -> String {
    let images = snapshot.list();
    let body = html! {
        h1 { "Kernels" }
        (mode_table(snapshot, modes))
        h2 { "All kernels" span.count { (number(images.len() as u64)) } }
        @if images.is_empty() {
            p { "Nothing has been mirrored yet." }
        } @else {
            table {
                thead { tr {
                    th.name scope="col" { "Kernel" }
                    th.num scope="col" { "Size" }
                    th.when scope="col" { "Made (UTC)" }
                } }
                tbody {
                    @for image in &images {
                        tr {
                            td.name {
                                a href={ "/kernel/" (encode(image.name.as_str())) } { (image.name) }
                                @if let Some(hash) = &image.sha256 {
                                    span.to { "SHA-256 " code { (hash) } }
                                }
                            }
                            td.num { (size(image.size)) }
                            td.when { (time(image.timestamp)) }
                        }
                    }
                }
            }
        }
    };
    site("Kernels", "Kernels", &body)
}

/// What each run mode boots.
fn mode_table(snapshot: &Snapshot, modes: &RunModes) -> Markup {
    html! {
        h2 { "Run modes" }
        table {
            thead { tr {
                th.name scope="col" { "Run mode" }
                th.num scope="col" { "Size" }
                th.when scope="col" { "Made (UTC)" }
            } }
            tbody {
                @for (mode, title) in modes.iter() {
                    tr {
                        td.name {
                            a href={ "/kernel/net/" (mode.link()) } { (title) }
                            " " code { (mode) }
                            @if let Some(link) = snapshot.manifest.links.get(mode) {
                                @if link.pinned { span.badge { "pinned here" } }
                            }
                            span.to { (leads_to(snapshot, mode)) }
                        }
                        @if let Some(found) = snapshot.mode(mode) {
                            td.num { (size(found.identity.size)) }
                            td.when { (time(found.identity.modified.seconds)) }
                        } @else {
                            td.num {} td.when {}
                        }
                    }
                }
            }
        }
    }
}

fn leads_to(snapshot: &Snapshot, mode: &RunMode) -> String {
    match snapshot.local.links.get(mode) {
        Some(LocalLink::Kernel(name)) => name.to_string(),
        Some(LocalLink::File(_)) => "a file of its own".to_owned(),
        None => "has no kernel here".to_owned(),
    }
}

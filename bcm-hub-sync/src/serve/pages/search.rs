//! `/search?q=`

use bcm_core::names::RepoName;
use maud::{Markup, html};

use super::format::count;
use super::{flist_href, frame, repository_href, search_form, tag_href};
use crate::catalog::Entry;
use crate::serve::snapshot::Snapshot;

/// As many results as one page shows.
const MOST: usize = 200;
/// The longest query that is looked for, in characters.
const LONGEST: usize = 200;

struct Hit<'a> {
    kind: &'static str,
    home: &'a RepoName,
    name: String,
    href: String,
}

pub(super) fn page(snapshot: &Snapshot, query: &str) -> Markup {
    let query: String = query.chars().take(LONGEST).collect();
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let hits = find(snapshot, &words);
    let body = html! {
        h1 { "Search" }
        (search_form(&query, true))
        @if words.is_empty() {
            p.soft { "Type a part of a name. Several words all have to be in it." }
        } @else if hits.is_empty() {
            p { "Nothing here is called “" (query) "”." }
        } @else {
            p.soft role="status" {
                (count(hits.len(), "result", "results"))
                @if hits.len() > MOST { ", the first " (MOST) " are shown" }
            }
            (table(&hits))
        }
    };
    let title = if words.is_empty() {
        "Search".to_owned()
    } else {
        format!("{query} · Search")
    };
    frame(&title, &[], "Search", &body)
}

fn table(hits: &[Hit<'_>]) -> Markup {
    html! {
        table {
            thead { tr { th.name scope="col" { "Name" } th.when scope="col" { "Kind" } } }
            tbody {
                @for hit in hits.iter().take(MOST) {
                    tr {
                        td.name {
                            a href=(hit.href) { (hit.name) }
                            @if hit.kind != "repository" { span.to { "in " (hit.home) } }
                        }
                        td.when { (hit.kind) }
                    }
                }
            }
        }
    }
}

/// What has all words in `repository/name`, in the order of the listings.
fn find<'a>(snapshot: &'a Snapshot, words: &[String]) -> Vec<Hit<'a>> {
    let mut hits = Vec::new();
    if words.is_empty() {
        return hits;
    }
    let matches = |text: &str| {
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    };
    for (home, repository) in snapshot.repositories() {
        if matches(home.as_str()) {
            hits.push(Hit {
                kind: "repository",
                home,
                name: home.to_string(),
                href: repository_href(home),
            });
        }
        for name in repository.tags.keys() {
            if matches(&format!("{home}/{name}")) {
                hits.push(Hit {
                    kind: "tag",
                    home,
                    name: name.to_string(),
                    href: tag_href(home, name),
                });
            }
        }
        for (name, entry) in &repository.entries {
            if !matches(&format!("{home}/{name}")) {
                continue;
            }
            let (kind, href) = match entry {
                Entry::Regular(_) => ("flist", flist_href(home, name.as_str())),
                Entry::Symlink(_) => ("link", flist_href(home, name.as_str())),
                Entry::TagLink(link) if snapshot.tag(&link.target).is_some() => (
                    "channel",
                    tag_href(&link.target.repository, &link.target.tag),
                ),
                Entry::TagLink(_) => ("channel", repository_href(home)),
            };
            hits.push(Hit {
                kind,
                home,
                name: name.to_string(),
                href,
            });
        }
    }
    hits
}

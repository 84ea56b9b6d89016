//! What an upstream lists, read over the wire, against the tree that it lists.

use std::time::Duration;

use bcm_core::http::{HttpOptions, Url};
use bcm_core::progress::NoProgress;
use bcm_core::retry::RetryPolicy;
use bcm_hub_sync::catalog::selection::Selection;
use bcm_hub_sync::catalog::upstream::{ListError, Listed, Upstreams, list};
use bcm_hub_sync::catalog::{Catalog, Entry, local};
use bcm_hub_sync::layout::Layout;
use bcm_tests::fixtures;
use bcm_tests::origin::{HttpFault, Origin, Users};

const NOW: i64 = 1_800_000_000;

fn listed(origins: &[&Origin]) -> Result<Listed, ListError> {
    listed_within(origins, Duration::from_secs(30))
}

/// Lists with one try a request, and so long for each of its phases.
fn listed_within(origins: &[&Origin], patience: Duration) -> Result<Listed, ListError> {
    let hubs: Vec<Url> = origins
        .iter()
        .map(|origin| origin.url().parse().expect("a URL"))
        .collect();
    let http = HttpOptions {
        connect: patience,
        first_byte: patience,
        idle: patience,
        ..HttpOptions::default()
    };
    let retry = RetryPolicy::never();
    let upstreams = Upstreams::new(hubs, http, retry, 4).expect("TLS");
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(list(&upstreams, &Selection::default(), NOW, &NoProgress))
}

/// The recorded tree's catalogue, without what no listing says.
fn recorded() -> Catalog {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = Layout::new(folder.path());
    Users::of_tar(&fixtures::users_tar()).write_to(&layout.users());
    let scan = local::scan(&layout).expect("a scan");
    assert!(scan.odd.is_empty(), "{:?}", scan.odd);
    let mut catalog = scan.catalog;
    for repository in catalog.repositories.values_mut() {
        for entry in repository.entries.values_mut() {
            if let Entry::Regular(file) = entry {
                file.size = None;
            }
        }
    }
    catalog
}

#[test]
fn the_listing_is_the_tree() {
    let listed = listed(&[&Origin::recorded()]).expect("a listing");
    assert_eq!(listed.refusals.total(), 0);
    assert_eq!(listed.catalog, recorded());
}

#[test]
fn repository_by_repository_it_is_the_same() {
    let origin = Origin::recorded();
    origin.fault("/api/fileslist", HttpFault::status(404));
    let listed = listed(&[&origin]).expect("a listing");
    assert_eq!(listed.refusals.total(), 0);
    assert_eq!(listed.catalog, recorded());
}

/// Each way in which the first upstream may be broken; the second one then gives the catalogue.
#[test]
fn a_broken_upstream_is_passed_over() {
    let faults = [
        HttpFault::status(500),
        HttpFault::body("<html>a page</html>"),
        HttpFault::Truncated(100),
        HttpFault::WrongLength(1_000_000),
        HttpFault::Silent,
        HttpFault::SilentBody,
        HttpFault::Hangup,
        HttpFault::EndlessJson,
        HttpFault::Drip(1, Duration::from_millis(10)),
        HttpFault::redirect("file:///etc/passwd"),
        HttpFault::body("[".repeat(100_000)),
    ];
    for fault in faults {
        let (broken, good) = (Origin::recorded(), Origin::recorded());
        broken.fault("/api/*", fault.clone());
        let never_ends = matches!(
            fault,
            HttpFault::Silent | HttpFault::SilentBody | HttpFault::Drip(..)
        );
        // The good one has to answer within this time, too.
        let patience = Duration::from_secs(if never_ends { 1 } else { 30 });
        let listed = listed_within(&[&broken, &good], patience)
            .unwrap_or_else(|e| panic!("{fault:?}: {e:?}"));
        assert_eq!(listed.hub, 1, "{fault:?}");
        assert_eq!(listed.catalog, recorded(), "{fault:?}");
    }
}

/// A tag that cannot be listed is refused; what is already here of it is to be kept.
#[test]
fn an_unreadable_tag_is_kept_as_it_is() {
    let origin = Origin::recorded();
    origin.fault("/api/flist/tf-zos/tags/v3.14.1", HttpFault::status(500));
    let listed = listed(&[&origin]).expect("a listing");
    let named = listed.refusals.named();
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(named[0].subject, "tf-zos/tags/v3.14.1");
    let kept: Vec<_> = listed
        .refusals
        .kept()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(kept.contains(&"tf-zos/tags/v3.14.1".to_owned()), "{kept:?}");
}

#[test]
fn nobody_answering_is_an_error() {
    let origin = Origin::recorded();
    origin.fault("*", HttpFault::Hangup);
    let error = listed(&[&origin]).expect_err("nothing to list");
    assert!(error.to_string().contains(&origin.url()), "{error}");
}

//! An upstream that behaves.

use super::*;
use bcm_hub_sync::catalog::selection::{Profile, Selection};
use bcm_hub_sync::flist::{Backend, Flist};
use bcm_hub_sync::sync::{BlockMode, FlistMode};
use bcm_tests::origin::{BlockFault, HttpFault};

#[test]
fn a_mirror_equals_the_recorded_tree_and_a_second_sync_does_nothing() {
    let mirror = Mirror::new();
    let report = mirror.complete();
    recorded_tree().assert_same(&mirror.tree(), "users/");
    assert_eq!(
        (report.counts.repositories, report.counts.flists_new),
        (5, 4)
    );
    assert_eq!(
        (
            report.counts.links,
            report.counts.tags,
            report.counts.taglinks
        ),
        (3, 2, 2)
    );
    assert!(!report.nothing_to_do && report.counts.blocks > 0);
    for flist in fixtures::flists().values() {
        for key in &flist.chunks {
            assert!(mirror.holds(key), "{key}");
        }
    }

    // Each sync opens its lock and looks into its staging folder, whose times may move by that.
    let disk = || {
        let mut disk = mirror.disk();
        disk.0
            .retain(|path, _| path != "data/lock" && path != "data/hub/staging");
        disk
    };
    let before = disk();
    mirror.origin.forget_counts();
    let second = mirror.complete();
    assert!(second.nothing_to_do);
    assert_eq!(second.counts.blocks, 0);
    before.assert_same(&disk(), "the disk");
    // Twice, for the plan asks as well.
    let requests = mirror.origin.requests();
    let asked: Vec<_> = requests
        .iter()
        .map(|(path, times)| (path.as_str(), *times))
        .collect();
    let tags = [
        "/api/flist/tf-zos/tags/v3.14.1",
        "/api/flist/tf-zos/tags/v3.15.0-rc1",
    ];
    assert_eq!(
        asked,
        [
            ("/api/fileslist", 2),
            (tags[0], 2),
            (tags[1], 2),
            ("/api/repositories", 2)
        ]
    );
    assert!(mirror.origin.commands().is_empty());
}

#[test]
fn a_plan_says_what_a_sync_does_and_touches_nothing() {
    let mirror = Mirror::new();
    let plan = mirror.plan();
    assert!(!mirror.layout.root().exists());
    let report = mirror.complete();
    assert_eq!(plan.flists.len() as u64, report.counts.flists_new);
    assert_eq!(plan.links.len() as u64, report.counts.links);
    assert_eq!(plan.tags.len() as u64, report.counts.tags);
    assert_eq!(plan.taglinks.len() as u64, report.counts.taglinks);
    assert!(!plan.nothing_to_do && plan.refused_total == 0);
    let json = serde_json::to_value(&plan).expect("JSON");
    assert_eq!(json["flists"][0]["place"], "alice.3bot/my-app-1.0.flist");
    assert_eq!(json["flists"][0]["reason"], "new");
    let before = mirror.disk();
    mirror.plan();
    before.assert_same(&mirror.disk(), "the disk after a dry run");
}

#[test]
fn without_fileslist_the_repositories_are_listed_one_by_one() {
    for fault in [
        HttpFault::status(404),
        HttpFault::status(405),
        HttpFault::status(500),
        HttpFault::body("<h1>not JSON</h1>"),
        HttpFault::Truncated(100),
        HttpFault::Silent,
    ] {
        let mut mirror = Mirror::new();
        if matches!(fault, HttpFault::Silent) {
            mirror = mirror.impatient();
        }
        mirror.origin.fault("/api/fileslist", fault.clone());
        let report = mirror.complete();
        recorded_tree().assert_same(&mirror.tree(), &format!("{fault:?}"));
        assert_eq!(report.counts.flists_new, 4);
    }
}

#[test]
fn a_profile_takes_what_its_links_lead_to_and_nothing_else() {
    let mut mirror = Mirror::new();
    let none: [&str; 0] = [];
    mirror.config.selection =
        Selection::new(&none, &none, Some(Profile::Zos)).expect("a selection");
    for listing in ["bulk", "one by one"] {
        let report = mirror.complete();
        let mut expected = recorded_tree();
        expected
            .0
            .retain(|path, _| !path.starts_with("alice") && !path.starts_with("empty"));
        expected.assert_same(&mirror.tree(), listing);
        assert_eq!(report.nothing_to_do, listing != "bulk");
        mirror
            .origin
            .fault("/api/fileslist", HttpFault::status(404));
    }
    // alice's app is the only one with this block.
    assert!(mirror.store.stats().expect("stats").blocks < fixtures::blocks().len() as u64);
}

#[test]
fn rewritten_flists_name_the_mirror_and_stay_as_they_are() {
    let mut mirror = Mirror::new();
    mirror.origin.edit(|_| ());
    let here = Backend::from_json(r#"{"host": "mirror.example.test", "port": 9900}"#);
    let here = here.expect("a backend");
    mirror.config.flists = FlistMode::Rewritten(here.clone());
    mirror.complete();
    let path = mirror.layout.users().join("tf-bootable/ubuntu-tiny.flist");
    let scratch = tempfile::tempdir().expect("a folder");
    let flist = Flist::open(&path, &mirror.config.limits, scratch.path()).expect("an flist");
    assert_eq!(flist.backend().expect("a backend"), Some(here));
    let first = mirror.tree();
    assert!(mirror.complete().nothing_to_do);

    // The operator changes their mind: another form is a change, the same form again is not.
    mirror.config.flists = FlistMode::Verbatim;
    assert_eq!(mirror.complete().counts.flists_changed, 4);
    mirror.assert_equal();
    let Some(backend) = flist.backend().expect("a backend") else {
        panic!("it has a backend");
    };
    mirror.config.flists = FlistMode::Rewritten(backend);
    mirror.complete();
    first.assert_same(&mirror.tree(), "rewritten again");
}

#[test]
fn the_catalogue_alone_is_mirrored_on_request_and_completed_later() {
    let mut mirror = Mirror::new();
    mirror.config.blocks = BlockMode::None;
    mirror.complete();
    recorded_tree().assert_same(&mirror.tree(), "users/");
    assert_eq!(mirror.store.stats().expect("stats").blocks, 0);
    mirror.config.blocks = BlockMode::Closure;
    let report = mirror.complete();
    assert!(
        report.counts.blocks > 0 && report.counts.flist_bytes == 0,
        "{report:#?}"
    );
    recorded_tree().assert_same(&mirror.tree(), "users/");
}

#[test]
fn lost_blocks_are_noticed_and_fetched_again() {
    let mirror = Mirror::new();
    mirror.complete();
    let key = fixtures::flists()["tf-bootable/ubuntu-tiny.flist"].chunks[0].clone();
    let lost: BlockKey = key.parse().expect("a key");
    let other = fixtures::flists()["alice.3bot/my-app-1.0.flist"].chunks[0].clone();
    let other: BlockKey = other.parse().expect("a key");
    assert_eq!(mirror.store.remove(&[lost]).expect("removed"), 1);
    // As long as it cannot be had, every sync looks for it.
    mirror.origin.block_fault(&key, BlockFault::Absent);
    for _ in 0..2 {
        let report = mirror.partial();
        assert!(reason(&report.deferred, "tf-bootable/ubuntu-tiny.flist").contains(&key));
    }
    recorded_tree().assert_same(&mirror.tree(), "users/");
    assert_eq!(mirror.store.remove(&[other]).expect("removed"), 1);
    mirror.origin.heal();
    let report = mirror.complete();
    assert_eq!(report.counts.blocks, 2);
    assert!(mirror.holds(&key));
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("fewer"))
    );
    assert!(mirror.complete().nothing_to_do);
}

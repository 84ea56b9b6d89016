//! An upstream that lies, breaks or lags.

use super::*;
use bcm_tests::origin::{BlockFault, HttpFault};

const TINY: &str = "tf-bootable/ubuntu-tiny.flist";

/// What is published when `TINY` and all that leads to it is left out.
fn without_tiny() -> Tree {
    let mut tree = recorded_tree();
    for path in [
        TINY,
        "alice.3bot/base.flist",
        "tf-zos/.tag-v3.15.0-rc1",
        "tf-zos/.tag-v3.15.0-rc1/extra.flist",
        "tf-zos/testing",
    ] {
        tree.0.remove(path).expect("it is recorded");
    }
    tree
}

#[test]
fn a_bad_flist_is_refused_and_all_that_leads_to_it_waits() {
    for (fault, part) in [
        (HttpFault::body("<html>404 Not Found</html>"), "MD5"),
        (HttpFault::status(404), "404"),
        (HttpFault::status(503), "503"),
        (HttpFault::Truncated(1000), "1000 of 3448"),
        (HttpFault::Silent, "no answer"),
        (HttpFault::SilentBody, "no answer"),
        (HttpFault::Hangup, "broke"),
        (HttpFault::redirect("file:///etc/passwd"), "not followed"),
        (HttpFault::redirect("http://127.1.2.3/x"), "another host"),
    ] {
        let mut mirror = Mirror::new();
        if matches!(fault, HttpFault::Silent | HttpFault::SilentBody) {
            mirror = mirror.impatient();
        }
        mirror.origin.fault(&format!("/{TINY}"), fault.clone());
        let report = mirror.partial();
        let why = reason(&report.refused, TINY);
        assert!(why.contains(part), "{fault:?}: {why}");
        assert_eq!(report.refused_total, 1);
        assert!(reason(&report.deferred, "tf-zos/tags/v3.15.0-rc1").contains(TINY));
        reason(&report.deferred, "alice.3bot/base.flist");
        reason(&report.deferred, "tf-zos/testing");
        without_tiny().assert_same(&mirror.tree(), &format!("{fault:?}"));
    }
}

#[test]
fn a_page_with_a_right_md5_is_still_no_flist() {
    let mirror = Mirror::synced();
    let before = mirror.tree();
    mirror.origin.edit(|users| {
        let page = "<!doctype html><h1>404 Not Found</h1>";
        users
            .repository("tf-bootable")
            .put_file("ubuntu-tiny.flist", page, 1_735_689_601);
    });
    let report = mirror.partial();
    let why = reason(&report.refused, TINY);
    assert!(why.contains("not an flist"), "{why}");
    before.assert_same(&mirror.tree(), "the old version stays");
    let staged = std::fs::read_dir(mirror.layout.staging())
        .expect("a folder")
        .count();
    assert_eq!(staged, 0);
}

#[test]
fn a_block_that_is_missing_or_wrong_keeps_its_flist_back() {
    let key = fixtures::flists()[TINY].chunks[0].clone();
    for fault in [
        BlockFault::Absent,
        BlockFault::Bytes("something else".into()),
        BlockFault::Error("no".to_owned()),
    ] {
        let mirror = Mirror::new();
        mirror.origin.block_fault(&key, fault.clone());
        let report = mirror.partial();
        let why = reason(&report.deferred, TINY);
        assert!(
            why.contains("1 block is missing") && why.contains(&key),
            "{fault:?}: {why}"
        );
        without_tiny().assert_same(&mirror.tree(), &format!("{fault:?}"));
        assert!(!mirror.holds(&key));
        // The staged flist is used when its last block comes.
        mirror.origin.heal();
        mirror.origin.forget_counts();
        let report = mirror.complete();
        assert_eq!(report.counts.blocks, 1);
        assert_eq!(report.counts.flist_bytes, 0);
        assert!(!mirror.origin.requests().contains_key(&format!("/{TINY}")));
        recorded_tree().assert_same(&mirror.tree(), "users/");
    }
}

#[test]
fn without_a_0_db_nothing_is_published_that_lacks_blocks() {
    let mirror = Mirror::new();
    mirror.origin.hang_up_after(Some(0));
    let report = mirror.partial();
    assert!(
        report.warnings.iter().any(|text| text.contains("down")),
        "{report:#?}"
    );
    assert_eq!(report.counts.flists_new, 0);
    assert!(
        mirror
            .tree()
            .0
            .values()
            .all(|node| !matches!(node.kind, bcm_tests::tree::Kind::File { .. }))
    );
    mirror.origin.heal();
    mirror.complete();
    recorded_tree().assert_same(&mirror.tree(), "users/");
}

#[test]
fn hostile_entries_are_refused_one_by_one() {
    let mirror = Mirror::new();
    let entries = serde_json::json!([
        {"name": "../../escape.flist", "type": "regular", "size": "1 KB", "updated": 1},
        {"name": "/etc/passwd", "type": "regular", "size": "1 KB", "updated": 1},
        {"name": "evil.flist", "type": "symlink", "target": "../../../etc/passwd", "linktime": 1},
        {"name": "loop.flist", "type": "symlink", "target": "loop.flist", "linktime": 1},
        {"name": "old.flist", "type": "regular", "size": "1 KB", "updated": -1},
        {"name": "future.flist", "type": "regular", "size": "1 KB", "updated": 9_999_999_999_u64},
        {"name": "wrong.flist", "type": "regular", "size": 12, "updated": 1},
        {"name": ["x"], "type": "regular", "size": "1 KB", "updated": 1},
        12,
        {"name": "bad", "type": "taglink", "target": "tf-zos/tags/../..", "linktime": 1},
    ]);
    let entries = entries.as_array().expect("an array").clone();
    let count = entries.len() as u64;
    mirror.origin.fault(
        "/api/fileslist",
        HttpFault::json(move |answer| {
            let alice = answer["alice.3bot"].as_array_mut().expect("a list");
            alice.extend(entries.clone());
            answer["../outside"] = serde_json::json!([]);
            answer[".tag-x"] = serde_json::json!([]);
        }),
    );
    let report = mirror.partial();
    assert_eq!(report.refused_total, count + 2, "{:#?}", report.refused);
    recorded_tree().assert_same(&mirror.tree(), "users/");
    let names = Tree::of_folder(mirror.folder.path()).0;
    assert!(
        names.keys().all(|path| path.starts_with("data")),
        "{names:?}"
    );
}

#[test]
fn a_tag_that_cannot_be_listed_stays_as_it_was() {
    for fault in [
        HttpFault::status(500),
        HttpFault::body("[1, 2]"),
        HttpFault::json(|tag| tag[0]["target"] = "../../etc/passwd".into()),
    ] {
        let mirror = Mirror::synced();
        let before = mirror.tree();
        mirror
            .origin
            .fault("/api/flist/tf-zos/tags/v3.14.1", fault.clone());
        let report = mirror.partial();
        reason(&report.refused, "tf-zos/tags/v3.14.1");
        before.assert_same(&mirror.tree(), &format!("{fault:?}"));
    }
}

#[test]
fn listings_that_never_end_or_never_come_are_an_error() {
    for fault in [
        HttpFault::Silent,
        HttpFault::EndlessJson,
        HttpFault::body("[]"),
        HttpFault::status(502),
    ] {
        let mut mirror = Mirror::new();
        if matches!(fault, HttpFault::Silent) {
            mirror = mirror.impatient();
        }
        mirror.origin.fault("/api/*", fault.clone());
        match mirror.try_sync() {
            Err(SyncError::List(error)) => assert!(error.hub.contains("127.0.0.1")),
            // An empty array is a hub without repositories.
            Ok(report) if matches!(fault, HttpFault::Answer(_)) => assert!(report.nothing_to_do),
            other => panic!("{fault:?}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_is_replaced_while_it_is_fetched_is_fetched_again() {
    let mirror = Mirror::new();
    mirror
        .origin
        .fault_times(&format!("/{TINY}"), 1, HttpFault::body("the old version"));
    mirror.complete();
    recorded_tree().assert_same(&mirror.tree(), "users/");
}

#[test]
fn a_second_writer_is_told_and_a_cancelled_sync_goes_on_later() {
    let mirror = Mirror::new();
    std::fs::create_dir_all(mirror.layout.root()).expect("a folder");
    let lock = bcm_core::lock::FolderLock::acquire(&mirror.layout.lock()).expect("the lock");
    assert!(matches!(mirror.try_sync(), Err(SyncError::Lock(_))));
    drop(lock);
    // Blocks are asked for, and never come.
    mirror
        .origin
        .slow(Duration::ZERO, Duration::from_secs(3600));
    let cancel = CancellationToken::new();
    let store: Arc<dyn BlockStore> = mirror.store.clone();
    let result = run(async {
        let syncing = sync(
            &mirror.layout,
            &mirror.config,
            store,
            progress::none(),
            cancel.clone(),
        );
        let stop = async {
            while mirror.origin.commands().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            cancel.cancel();
        };
        let both = async { tokio::join!(syncing, stop).0 };
        tokio::time::timeout(Duration::from_secs(60), both)
            .await
            .expect("it asks for blocks, and ends when it is told to")
    });
    assert!(matches!(result, Err(SyncError::Cancelled)), "{result:?}");
    assert!(mirror.tree().0.is_empty());
    mirror.origin.heal();
    mirror.complete();
    recorded_tree().assert_same(&mirror.tree(), "users/");
}

#[test]
fn a_tag_is_turned_whole_or_not_at_all_and_keeps_what_it_leads_to() {
    let mirror = Mirror::synced();
    let old = "tf-autobuilder/bootstrap-260101.flist";
    mirror.origin.edit(|users| {
        let next = content(users, "tf-autobuilder", "bootstrap-260101.flist");
        let builder = users.repository("tf-autobuilder");
        builder.nodes.remove("bootstrap-260101.flist");
        builder.put_file("bootstrap-260202.flist", next, 1_735_800_000);
        builder.put_link(
            "bootstrap:latest.flist",
            "bootstrap-260202.flist",
            1_735_800_001,
        );
        let zos = users.repository("tf-zos");
        let tag = zos.tag("v3.14.1");
        let target = "../../tf-autobuilder/bootstrap-260202.flist";
        tag.put_link("bootstrap.flist", target, 1_735_800_002);
        tag.put_link(
            "zos.flist",
            "../../alice.3bot/my-app-1.0.flist",
            1_735_800_002,
        );
        zos.put_link("testing", "../tf-zos/.tag-v3.14.1", 1_735_800_003);
    });
    let before = mirror.tree();
    let page = HttpFault::body("<h1>404</h1>");
    mirror
        .origin
        .fault("/tf-autobuilder/bootstrap-260202.flist", page);
    let report = mirror.partial();
    reason(&report.refused, "tf-autobuilder/bootstrap-260202.flist");
    reason(&report.deferred, "tf-autobuilder/bootstrap:latest.flist");
    let why = reason(&report.deferred, "tf-zos/tags/v3.14.1");
    assert!(why.contains("stays as it was"), "{why}");
    assert_eq!(
        (report.counts.deleted, report.counts.awaiting_deletion),
        (0, 1)
    );
    // All is as it was but the link to the tag, which is here in its old version.
    let mut expected = before;
    let turned = mirror
        .upstream()
        .0
        .remove("tf-zos/testing")
        .expect("it is there");
    expected.0.insert("tf-zos/testing".to_owned(), turned);
    expected.assert_same(&mirror.tree(), "users/");
    assert!(mirror.tree().0.contains_key(old));

    mirror.origin.heal();
    let report = mirror.complete();
    assert_eq!((report.counts.tags, report.counts.deleted), (1, 1));
    mirror.assert_equal();
}

//! What happens upstream between two syncs.

use super::*;
use bcm_tests::origin::{HttpFault, Node};

const TINY: &str = "ubuntu-tiny.flist";
const ZOS: &str = "zos-production-v3.14.1.flist";

#[test]
fn an_overwrite_in_place_is_seen_by_size_by_time_and_by_md5() {
    let mirror = Mirror::synced();
    // Another size, the same time; the folder's time does not change.
    mirror.origin.edit(|users| {
        let other = content(users, "alice.3bot", "my-app-1.0.flist");
        users
            .repository("tf-zos")
            .put_file(ZOS, other, 1_735_689_600);
    });
    assert_eq!(mirror.complete().counts.flists_changed, 1);
    mirror.assert_equal();
    // The same size, an older time: rolled back.
    mirror.origin.edit(|users| {
        let same = content(users, "tf-zos", ZOS);
        users
            .repository("tf-zos")
            .put_file(ZOS, same, 1_600_000_000);
    });
    let report = mirror.complete();
    assert_eq!((report.counts.flists_changed, report.counts.blocks), (1, 0));
    mirror.assert_equal();
    assert!(mirror.complete().nothing_to_do);
}

#[test]
fn a_change_within_the_listed_second_is_found_by_its_md5() {
    let mirror = Mirror::synced();
    // Far in the future of every listing: as if each were made in the second of the change.
    let soon = std::time::SystemTime::now() + Duration::from_secs(3600);
    let soon = soon
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs() as i64;
    let tiny = |content| {
        move |users: &mut Users| {
            users
                .repository("tf-bootable")
                .put_file(TINY, content, soon);
        }
    };
    let (a, b) = mirror.origin.edit(|users| {
        let mut a = content(users, "tf-autobuilder", "bootstrap-260101.flist").to_vec();
        // Bytes behind the archive's end: another file of the same size.
        let mut b = a.clone();
        a.extend([0, 0]);
        b.extend([0, 1]);
        (a, b)
    });
    mirror.origin.edit(tiny(a));
    mirror.sync();
    mirror.assert_equal();
    mirror.origin.edit(tiny(b));
    let report = mirror.sync();
    assert_eq!(report.counts.flists_changed, 1, "{report:#?}");
    mirror.assert_equal();
    assert_eq!(mirror.sync().counts.flists_changed, 0);
}

#[test]
fn an_edited_tag_is_replaced_though_its_folder_keeps_its_time() {
    let mirror = Mirror::synced();
    mirror.origin.edit(|users| {
        let tag = users.repository("tf-zos").tag("v3.14.1");
        tag.put_link(
            "zos.flist",
            "../../tf-bootable/ubuntu-tiny.flist",
            1_735_700_000,
        );
        tag.put_link(
            "more.flist",
            "../../tf-bootable/ubuntu-tiny.flist",
            1_735_700_001,
        );
        tag.nodes.remove("bootstrap.flist");
    });
    let report = mirror.complete();
    assert_eq!((report.counts.tags, report.counts.flists_changed), (1, 0));
    mirror.assert_equal();
}

#[test]
fn links_and_taglinks_are_turned_and_change_their_kind() {
    let mirror = Mirror::synced();
    mirror.origin.edit(|users| {
        let zos = users.repository("tf-zos");
        zos.put_link("production", "../tf-zos/.tag-v3.15.0-rc1", 1_735_700_007);
        zos.put_link("testing", "../tf-zos/.tag-v3.14.1", 1_735_700_000);
        let alice = users.repository("alice.3bot");
        alice.put_link("base.flist", "my-app-1.0.flist", 1_735_700_000);
        let file = content(users, "tf-bootable", TINY);
        users
            .repository("alice.3bot")
            .put_file("dangling.flist", file, 1_700_000_000);
    });
    let report = mirror.complete();
    assert_eq!((report.counts.taglinks, report.counts.links), (2, 1));
    mirror.assert_equal();
    mirror.origin.edit(|users| {
        users
            .repository("alice.3bot")
            .put_link("dangling.flist", "gone.flist", 5);
    });
    mirror.complete();
    mirror.assert_equal();
}

#[test]
fn what_is_deleted_upstream_goes_and_a_repository_with_it() {
    let mut mirror = Mirror::synced();
    mirror.config.delete_after = Some(Duration::from_secs(3600));
    let delete = |users: &mut Users| {
        users.repositories.remove("empty.3bot");
        users
            .repository("alice.3bot")
            .nodes
            .remove("my-app-1.0.flist");
        users.repository("tf-zos").nodes.remove("testing");
        users.repository("tf-zos").nodes.remove(".tag-v3.15.0-rc1");
    };
    let before = mirror.tree();
    mirror.origin.edit(delete);
    let report = mirror.complete();
    assert_eq!(
        (report.counts.deleted, report.counts.awaiting_deletion),
        (0, 4)
    );
    before.assert_same(&mirror.tree(), "within the time of grace");
    assert_eq!(mirror.plan().awaiting_deletion.len(), 4);
    mirror.config.delete_after = None;
    assert_eq!(mirror.complete().counts.deleted, 0);
    mirror.config.delete_after = Some(Duration::ZERO);
    assert_eq!(mirror.sync().counts.deleted, 4);
    mirror.assert_equal();
    assert!(mirror.complete().nothing_to_do);
}

#[test]
fn an_upstream_that_suddenly_lists_almost_nothing_deletes_nothing() {
    let mirror = Mirror::synced();
    let before = mirror.tree();
    mirror
        .origin
        .edit(|users| users.repositories.retain(|name, _| name == "alice.3bot"));
    let report = mirror.partial();
    let guard = report.guard.expect("the guard");
    assert!(guard.missing > 5 && report.counts.deleted == 0);
    before.assert_same(&mirror.tree(), "users/");
    mirror.origin.edit(|users| users.repositories.clear());
    assert!(mirror.partial().guard.is_some());
    before.assert_same(&mirror.tree(), "users/");
}

#[test]
fn what_is_touched_here_is_put_right() {
    let mirror = Mirror::synced();
    let users = mirror.layout.users();
    std::fs::write(users.join("tf-bootable").join(TINY), "damaged").expect("written");
    std::fs::remove_file(users.join("tf-zos/.tag-v3.14.1/zos.flist")).expect("removed");
    std::fs::remove_file(users.join("tf-zos/production")).expect("removed");
    std::fs::remove_dir(users.join("empty.3bot")).expect("removed");
    let report = mirror.complete();
    assert_eq!((report.counts.flists_changed, report.counts.tags), (1, 1));
    mirror.assert_equal();
}

#[test]
fn a_lost_state_costs_comparisons_but_no_downloads() {
    let mirror = Mirror::synced();
    for content in [None, Some("{ damaged")] {
        match content {
            None => std::fs::remove_file(mirror.layout.state()).expect("removed"),
            Some(text) => std::fs::write(mirror.layout.state(), text).expect("written"),
        }
        let report = mirror.complete();
        assert_eq!(report.counts.flist_bytes, 0, "{report:#?}");
        assert_eq!(report.counts.blocks, 0);
        assert_eq!(!report.warnings.is_empty(), content.is_some());
        mirror.assert_equal();
        assert!(mirror.complete().nothing_to_do);
    }
}

#[test]
fn a_planted_link_in_the_tree_is_not_written_through() {
    let mirror = Mirror::synced();
    let outside = mirror.folder.path().join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    let bootable = mirror.layout.users().join("tf-bootable");
    std::fs::rename(&bootable, outside.join("was")).expect("moved");
    std::os::unix::fs::symlink(&outside, &bootable).expect("a link");
    mirror.origin.edit(|users| {
        users.repository("tf-bootable").put_file("x.flist", "x", 7);
    });
    let report = mirror.partial();
    assert!(reason(&report.refused, "tf-bootable/ubuntu-tiny.flist").contains("published"));
    let found = Tree::of_folder(&outside);
    assert!(
        found.0.keys().eq(["was", "was/ubuntu-tiny.flist"].iter()),
        "{found:?}"
    );
    std::fs::remove_file(&bootable).expect("removed");
    mirror.origin.edit(|users| {
        users.repository("tf-bootable").nodes.remove("x.flist");
    });
    mirror.complete();
    mirror.assert_equal();
}

#[test]
fn the_next_upstream_takes_over() {
    let mut mirror = Mirror::new();
    let second = Origin::recorded();
    mirror.config = config(&[&mirror.origin, &second]);
    mirror.origin.fault("*", HttpFault::Hangup);
    mirror.origin.hang_up_after(Some(0));
    let report = mirror.complete();
    assert_eq!(report.upstream, second.url());
    recorded_tree().assert_same(&mirror.tree(), "users/");
    drop(second);
    mirror.origin.heal();
    assert_eq!(mirror.complete().upstream, mirror.origin.url());
    // Downloads alone fail: they come from the second, the listing from the first.
    let mut other = Mirror::new();
    let second = Origin::recorded();
    other.config = config(&[&other.origin, &second]);
    other.origin.fault("/tf-bootable/*", HttpFault::status(503));
    assert_eq!(other.complete().upstream, other.origin.url());
    let _: Option<Node> = None;
}

#[test]
fn blocks_of_an_flist_that_upstream_dropped_are_repaired() {
    let mut mirror = Mirror::synced();
    mirror.config.delete_after = Some(std::time::Duration::from_secs(7 * 24 * 3600));
    mirror.origin.edit(|users| {
        let tiny = "ubuntu-tiny.flist";
        users.repository("tf-bootable").nodes.remove(tiny);
    });
    mirror.sync();
    let place = "tf-bootable/ubuntu-tiny.flist";
    assert!(mirror.layout.users().join(place).exists(), "it has grace");
    let flists = bcm_tests::fixtures::flists();
    let key: bcm_hub_sync::block::BlockKey = flists[place].chunks[0].parse().expect("a key");
    bcm_hub_sync::store::BlockStore::remove(&*mirror.store, &[key]).expect("it is there");
    let store: std::sync::Arc<dyn bcm_hub_sync::store::BlockStore> = mirror.store.clone();
    let repaired = super::run(bcm_hub_sync::verify::repair(
        &mirror.layout,
        store,
        &bcm_hub_sync::verify::VerifyOptions::default(),
        &mirror.config,
        bcm_core::progress::none(),
        tokio_util::sync::CancellationToken::new(),
    ))
    .expect("a report");
    assert!(!repaired.found.is_clean());
    assert!(repaired.is_clean(), "{repaired:#?}");
}

#[test]
fn names_that_differ_in_case_alone_are_two_names() {
    let mirror = Mirror::synced();
    mirror.origin.edit(|users| {
        let repository = users.repository("alice.3bot");
        let content = repository.content("my-app-1.0.flist");
        repository.put_file("A.flist", content.clone(), 1_750_000_000);
        repository.put_file("a.flist", content, 1_750_000_001);
    });
    mirror.complete();
    mirror.assert_equal();
}

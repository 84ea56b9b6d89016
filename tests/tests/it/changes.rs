//! What changes upstream changes in the mirror: in-place overwrites, tag edits, roll-backs and
//! deletions, none of which a folder's time of modification shows.

use bcm_tests::mirror::Mirror;
use bcm_tests::origin::{Node, Origin};
use bcm_tests::tree::{Kind, Tree};

fn link(tree: &Tree, path: &str) -> String {
    match tree.0.get(path).map(|node| &node.kind) {
        Some(Kind::Link(target)) => target.clone(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn an_overwrite_in_place_is_seen() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let before = mirror.users();
    // Another content with the same listed size ("1.11 KB" either way would not do here, so the
    // time changes too); the folder's time stays.
    origin.edit(|users| {
        let content = users.repository("alice.3bot").content("my-app-1.0.flist");
        let repository = users.repository("tf-autobuilder");
        repository.put_file("bootstrap-260101.flist", content, 1_735_689_601);
    });
    mirror.sync(&origin, &[]).assert_code(0);
    let path = "tf-autobuilder/bootstrap-260101.flist";
    let after = mirror.users();
    assert_eq!(after.0[path].mtime, 1_735_689_601);
    assert_eq!(
        after.0[path].kind,
        after.0["alice.3bot/my-app-1.0.flist"].kind
    );
    let mut rest = after.clone();
    rest.0.insert(path.to_owned(), before.0[path].clone());
    before.assert_same(&rest, "all but the overwritten flist");
    mirror.verify().assert_code(0);
}

#[test]
fn a_roll_back_is_seen() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    origin.edit(|users| {
        let content = users
            .repository("tf-autobuilder")
            .content("bootstrap-260101.flist");
        let repository = users.repository("tf-bootable");
        repository.put_file("ubuntu-tiny.flist", content, 1_600_000_000);
    });
    mirror.sync(&origin, &[]).assert_code(0);
    let users = mirror.users();
    let node = &users.0["tf-bootable/ubuntu-tiny.flist"];
    assert_eq!(node.mtime, 1_600_000_000);
    assert!(matches!(node.kind, Kind::File { size: 1141, .. }), "{node}");
}

#[test]
fn a_moved_link_inside_a_tag_is_seen() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let path = "tf-zos/.tag-v3.14.1/zos.flist";
    assert_eq!(
        link(&mirror.users(), path),
        "../../tf-zos/zos-production-v3.14.1.flist"
    );
    origin.edit(|users| {
        let tag = users.repository("tf-zos").tag("v3.14.1");
        tag.put_link(
            "zos.flist",
            "../../tf-bootable/ubuntu-tiny.flist",
            1_735_700_000,
        );
    });
    mirror.sync(&origin, &[]).assert_code(0);
    assert_eq!(
        link(&mirror.users(), path),
        "../../tf-bootable/ubuntu-tiny.flist"
    );
}

#[test]
fn a_moved_tag_link_is_seen() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    origin.edit(|users| {
        let repository = users.repository("tf-zos");
        repository.put_link("production", "../tf-zos/.tag-v3.15.0-rc1", 1_735_700_000);
    });
    mirror.sync(&origin, &[]).assert_code(0);
    assert_eq!(
        link(&mirror.users(), "tf-zos/production"),
        "../tf-zos/.tag-v3.15.0-rc1"
    );
}

#[test]
fn deletions_wait_for_their_time() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let path = "alice.3bot/dangling.flist";
    origin.edit(|users| {
        users
            .repository("alice.3bot")
            .nodes
            .remove("dangling.flist")
    });

    mirror
        .sync(&origin, &["--delete-after", "never"])
        .assert_code(0);
    assert!(mirror.users().0.contains_key(path));
    mirror
        .sync(&origin, &["--delete-after", "7d"])
        .assert_code(0);
    assert!(mirror.users().0.contains_key(path));
    mirror
        .sync(&origin, &["--delete-after", "0s"])
        .assert_code(0);
    assert!(!mirror.users().0.contains_key(path));
    mirror.verify().assert_code(0);
}

#[test]
fn what_comes_back_in_time_is_kept() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let before = mirror.users();
    let path = "dangling.flist";
    let gone = origin.edit(|users| users.repository("alice.3bot").nodes.remove(path));
    mirror
        .sync(&origin, &["--delete-after", "7d"])
        .assert_code(0);
    let gone: Node = gone.expect("it was there");
    origin.edit(|users| users.repository("alice.3bot").put(path, gone));
    mirror
        .sync(&origin, &["--delete-after", "7d"])
        .assert_code(0);
    before.assert_same(&mirror.users(), "after it came back");
}

/// An upstream that suddenly lists almost nothing does not empty the mirror.
#[test]
fn an_emptied_upstream_empties_nothing() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let before = mirror.users();
    origin.edit(|users| {
        users.repositories.retain(|name, _| name == "tf-bootable");
    });
    let refused = mirror.sync(&origin, &["--delete-after", "0s"]);
    let refused = refused.assert_code(3);
    assert_eq!(refused.json()["guard"]["missing"], 10, "{refused}");
    before.assert_same(&mirror.users(), "after a sync that would delete almost all");

    let all = ["--delete-after", "0s", "--max-delete", "1"];
    mirror.sync(&origin, &all).assert_code(0);
    let left = mirror.users();
    let names: Vec<_> = left.0.keys().collect();
    assert_eq!(names, ["tf-bootable", "tf-bootable/ubuntu-tiny.flist"]);
}

#[test]
fn a_dry_run_changes_nothing_and_names_everything() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let planned = mirror.sync(&origin, &["--dry-run"]).assert_code(0);
    for name in ["ubuntu-tiny.flist", "my-app-1.0.flist", "v3.14.1"] {
        assert!(planned.stdout.contains(name), "{name}: {planned}");
    }
    let commands = origin.commands();
    assert!(!commands.contains_key("GET") && !commands.contains_key("MGET"));
    assert!(!mirror.data().join("hub/users/tf-bootable").exists());
    mirror.sync(&origin, &[]).assert_code(0);
}

#[test]
fn a_selection_brings_the_targets_of_its_links() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &["--repo", "tf-zos"]).assert_code(0);
    let users = mirror.users();
    for path in [
        "tf-zos/production",
        "tf-zos/.tag-v3.14.1/bootstrap.flist",
        "tf-autobuilder/bootstrap-260101.flist",
        "tf-bootable/ubuntu-tiny.flist",
    ] {
        assert!(users.0.contains_key(path), "{path} is missing");
    }
    assert!(!users.0.contains_key("alice.3bot/my-app-1.0.flist"));
    mirror.verify().assert_code(0);
}

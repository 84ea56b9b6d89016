//! Everything that upstream says may be an attack: the entry is refused and named, the rest is
//! mirrored, and nothing outside the data folder is written.

use bcm_tests::fixtures;
use bcm_tests::mirror::Mirror;
use bcm_tests::origin::{HttpFault, Origin};
use bcm_tests::tree::Tree;
use serde_json::{Value, json};

fn recorded_tree() -> Tree {
    Tree::of_tar(&fixtures::users_tar(), "users")
}

fn flist(name: &str) -> Value {
    json!({"name": name, "size": "1.11 KB", "updated": 1_735_689_600, "type": "regular"})
}

fn link(name: &str, target: &str) -> Value {
    json!({"name": name, "size": "1.11 KB", "updated": 1_735_689_600, "linktime": 1_735_700_000,
           "type": "symlink", "target": target})
}

/// Puts `entries` into the listing of tf-bootable and returns how the sync ended.
fn sync_with(origin: &Origin, mirror: &Mirror, entries: Vec<Value>) -> bcm_tests::bcm::Finished {
    let add = entries.clone();
    origin.fault(
        "/api/fileslist",
        HttpFault::json(move |listing| {
            let repository = listing["tf-bootable"].as_array_mut().expect("a list");
            repository.extend(add.clone());
        }),
    );
    origin.fault(
        "/api/flist/tf-bootable",
        HttpFault::json(move |listing| {
            listing
                .as_array_mut()
                .expect("a list")
                .extend(entries.clone());
        }),
    );
    mirror.sync(origin, &[])
}

#[test]
fn names_that_leave_are_refused_one_by_one() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let long = format!("{}.flist", "x".repeat(250));
    let bad = [
        "../../../sentinel/file.flist",
        "/etc/evil.flist",
        "..",
        "",
        "a\0b.flist",
        ".tag-evil",
        &long,
    ];
    let ended = sync_with(
        &origin,
        &mirror,
        bad.iter().map(|name| flist(name)).collect(),
    );
    let ended = ended.assert_code(3);
    recorded_tree().assert_same(&mirror.users(), "the rest of the tree");
    let report = ended.json();
    let refused = report["refused"].as_array().expect("a list");
    assert_eq!(refused.len(), bad.len(), "{report:#}");
    assert!(ended.stdout.contains("sentinel/file.flist"), "{ended}");
    mirror.assert_nothing_outside();
    mirror.verify().assert_code(0);
}

#[test]
fn link_targets_that_leave_are_refused() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let bad = [
        link("up.flist", "../../../sentinel/file.flist"),
        link("absolute.flist", "/etc/passwd"),
        link("deep.flist", "a/b/c.flist"),
        json!({"name": "up", "size": "4.00 KB", "updated": 1, "linktime": 1, "type": "taglink",
               "target": "../../tags/.."}),
    ];
    let count = bad.len();
    let ended = sync_with(&origin, &mirror, bad.into()).assert_code(3);
    recorded_tree().assert_same(&mirror.users(), "the rest of the tree");
    assert_eq!(
        ended.json()["refused"].as_array().map(Vec::len),
        Some(count),
        "{ended}"
    );
    mirror.assert_nothing_outside();
}

#[test]
fn entries_of_the_wrong_shape_are_refused() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let bad = vec![
        json!("a string"),
        json!(17),
        json!(null),
        json!({"name": 5, "size": "1 KB", "updated": 1, "type": "regular"}),
        json!({"name": "x.flist", "size": "1 KB", "updated": "soon", "type": "regular"}),
        json!({"name": "y.flist", "size": "1 KB", "updated": 1, "type": "hologram"}),
        json!({"name": "z.flist", "size": "1 KB", "updated": 1, "type": "symlink"}),
    ];
    let count = bad.len();
    let ended = sync_with(&origin, &mirror, bad).assert_code(3);
    recorded_tree().assert_same(&mirror.users(), "the rest of the tree");
    assert_eq!(
        ended.json()["refused"].as_array().map(Vec::len),
        Some(count),
        "{ended}"
    );
}

#[test]
fn repositories_with_bad_names_are_refused() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let names = ["..", "../../sentinel", ".tag-x", "a/b", ""];
    origin.fault(
        "/api/fileslist",
        HttpFault::json(move |listing| {
            for name in names {
                listing[name] = json!([flist("file.flist")]);
            }
        }),
    );
    origin.fault(
        "/api/repositories",
        HttpFault::json(move |list| {
            let list = list.as_array_mut().expect("a list");
            list.extend(names.map(|n| json!({"name": n, "official": false, "updated": 1})));
        }),
    );
    let ended = mirror.sync(&origin, &[]).assert_code(3);
    recorded_tree().assert_same(&mirror.users(), "the rest of the tree");
    assert!(ended.stdout.contains("../../sentinel"), "{ended}");
    mirror.assert_nothing_outside();
}

/// A link that was planted in the data folder is never written through.
#[test]
fn a_planted_link_is_not_written_through() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let planted = mirror
        .data()
        .join("hub/users/tf-bootable/ubuntu-tiny.flist");
    std::fs::remove_file(&planted).expect("remove");
    std::os::unix::fs::symlink("../../../../sentinel/file.flist", &planted).expect("link");
    mirror.sync(&origin, &[]).assert_code(0);
    recorded_tree().assert_same(&mirror.users(), "the tree again");
    mirror.assert_nothing_outside();
}

/// The same for a whole repository.
#[test]
fn a_planted_folder_link_is_not_written_through() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let users = mirror.data().join("hub/users");
    std::fs::create_dir_all(&users).expect("a folder");
    std::os::unix::fs::symlink("../../../sentinel", users.join("tf-bootable")).expect("link");
    let ended = mirror.sync(&origin, &[]);
    mirror.assert_nothing_outside();
    let code = ended.code();
    assert!(code == 0 || code == 3 || code == 1, "{ended}");
    if code == 0 {
        recorded_tree().assert_same(&mirror.users(), "the tree");
    } else {
        assert!(ended.to_string().contains("tf-bootable"), "{ended}");
    }
}

//! What a repair puts back, and what it says of the rest.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bcm_core::progress;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::verify::{RepairReport, VerifyOptions, VerifyReport, repair, verify};
use tokio_util::sync::CancellationToken;

use super::{Mirror, run};

impl Mirror {
    fn user(&self, path: &str) -> PathBuf {
        self.layout.users().join(path)
    }

    fn verify(&self) -> VerifyReport {
        let store: Arc<dyn BlockStore> = self.store.clone();
        run(verify(
            &self.layout,
            store,
            &VerifyOptions::default(),
            progress::none(),
            CancellationToken::new(),
        ))
        .expect("a report")
    }

    fn repair(&self) -> RepairReport {
        let store: Arc<dyn BlockStore> = self.store.clone();
        run(repair(
            &self.layout,
            store,
            &VerifyOptions::default(),
            &self.config,
            progress::none(),
            CancellationToken::new(),
        ))
        .expect("a report")
    }
}

type Damage = fn(&Mirror);

#[test]
fn links_tags_and_repositories_are_put_back() {
    let damages: [Damage; 9] = [
        |mirror| fs::remove_dir_all(mirror.layout.users()).expect("removed"),
        |mirror| fs::remove_dir_all(mirror.user("tf-zos")).expect("removed"),
        |mirror| fs::remove_dir_all(mirror.user("tf-zos/.tag-v3.14.1")).expect("removed"),
        |mirror| fs::remove_dir_all(mirror.user("empty.3bot")).expect("removed"),
        |mirror| fs::remove_file(mirror.user("tf-zos/.tag-v3.14.1/zos.flist")).expect("removed"),
        |mirror| fs::remove_file(mirror.user("tf-zos/production")).expect("removed"),
        |mirror| {
            let link = mirror.user("alice.3bot/base.flist");
            fs::remove_file(&link).expect("removed");
            symlink("/etc/passwd", link).expect("a link");
        },
        |mirror| {
            let moved = mirror.folder.path().join("moved");
            fs::rename(mirror.user("tf-zos"), &moved).expect("moved");
            symlink(moved, mirror.user("tf-zos")).expect("a link");
        },
        |mirror| {
            let moved = mirror.folder.path().join("moved");
            fs::rename(mirror.user("tf-zos/.tag-v3.14.1"), &moved).expect("moved");
            symlink(moved, mirror.user("tf-zos/.tag-v3.14.1")).expect("a link");
        },
    ];
    for (row, damage) in damages.into_iter().enumerate() {
        let mirror = Mirror::synced();
        assert!(mirror.verify().is_clean());
        damage(&mirror);
        assert!(!mirror.verify().is_clean(), "row {row}");
        let repaired = mirror.repair();
        assert!(!repaired.found.is_clean(), "row {row}");
        assert!(
            repaired.is_clean() && repaired.is_complete(),
            "row {row}: {repaired:#?}"
        );
        mirror.assert_equal();
        assert!(mirror.verify().is_clean(), "row {row}");
    }
}

#[test]
fn an_flist_that_cannot_be_put_back_stays_damage() {
    let mirror = Mirror::synced();
    let place = "alice.3bot/my-app-1.0.flist";
    fs::remove_file(mirror.user(place)).expect("removed");
    fs::create_dir(mirror.user(place)).expect("a folder");
    let repaired = mirror.repair();
    assert!(
        !repaired.is_clean() && !repaired.is_complete(),
        "{repaired:#?}"
    );
    assert!(!mirror.verify().is_clean());
    // Nor does a sync by itself forget it.
    mirror.partial();
    assert_eq!(mirror.verify().damaged_flists.count, 1);
    fs::remove_dir(mirror.user(place)).expect("removed");
    mirror.complete();
    mirror.assert_equal();
    assert!(mirror.verify().is_clean());
}

#[test]
fn a_tag_that_cannot_be_put_back_stays_damage() {
    let mirror = Mirror::synced();
    let tag = mirror.user("tf-zos/.tag-v3.14.1");
    fs::remove_dir_all(&tag).expect("removed");
    fs::write(&tag, "in the way").expect("a file");
    assert!(!mirror.repair().is_clean());
    mirror.partial();
    let left = mirror.verify();
    assert_eq!(left.damaged_names.count, 1, "{left:#?}");
    assert_eq!(
        left.damaged_names.first[0].item.to_string(),
        "tf-zos/tags/v3.14.1"
    );
}

#[test]
fn what_upstream_has_no_more_is_named_by_the_repair() {
    for place in ["tf-bootable/ubuntu-tiny.flist", "tf-zos/production"] {
        let mut mirror = Mirror::synced();
        mirror.config.delete_after = Some(Duration::from_secs(7 * 24 * 3600));
        let (repository, name) = place.split_once('/').expect("a name in a repository");
        mirror.origin.edit(|users| {
            users.repository(repository).nodes.remove(name);
        });
        mirror.sync();
        assert!(mirror.verify().is_clean(), "{place} has grace");
        fs::remove_file(mirror.user(place)).expect("removed");
        let repaired = mirror.repair();
        assert!(!repaired.is_clean(), "{repaired:#?}");
        assert!(!mirror.verify().is_clean());
        // A sync then takes it as deleted, as it is upstream.
        mirror.sync();
        assert!(mirror.verify().is_clean(), "{:#?}", mirror.verify());
    }
}

#[test]
fn a_damaged_flist_that_upstream_has_no_more_stays_damage() {
    let mut mirror = Mirror::synced();
    mirror.config.delete_after = None;
    let place = "tf-bootable/ubuntu-tiny.flist";
    mirror.origin.edit(|users| {
        let name = "ubuntu-tiny.flist";
        users.repository("tf-bootable").nodes.remove(name);
    });
    let path = mirror.user(place);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("written");
    assert!(!mirror.repair().is_clean());
    mirror.sync();
    assert_eq!(mirror.verify().damaged_flists.count, 1);
}

#[test]
fn a_link_that_moves_upstream_moves_in_what_is_remembered() {
    let mirror = Mirror::synced();
    mirror.origin.edit(|users| {
        let alice = users.repository("alice.3bot");
        alice.put_link("base.flist", "my-app-1.0.flist", 1_760_000_000);
        users.repository("tf-zos").nodes.remove("testing");
    });
    mirror.complete();
    assert!(mirror.verify().is_clean(), "{:#?}", mirror.verify());
    let link = mirror.user("alice.3bot/base.flist");
    fs::remove_file(&link).expect("removed");
    symlink("../tf-bootable/ubuntu-tiny.flist", link).expect("a link");
    assert_eq!(mirror.verify().damaged_names.count, 1);
}

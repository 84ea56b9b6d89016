use std::fs;

use super::*;
use crate::block::BlockKey;
use crate::catalog::Published;
use crate::catalog::diff::FlistRecord;
use crate::flist::Flist;
use crate::store::memory::MemoryStore;
use crate::store::{BlockInfo, Cursor, Direction, StoreStats, VerifiedBlock};
use crate::sync::state::State;
use bcm_core::digest::Md5;
use bcm_core::progress;
use bytes::Bytes;

const FIXTURES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/origin-small/"
);

/// A store that gives other bytes for some keys.
struct Rotten {
    store: MemoryStore,
    rotten: Vec<BlockKey>,
}

impl BlockStore for Rotten {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        let found = self.store.get(key)?;
        Ok(
            found.map(|(info, payload)| match self.rotten.contains(key) {
                true => (info, Bytes::from(vec![0; payload.len()])),
                false => (info, payload),
            }),
        )
    }
    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        self.store.info(key)
    }
    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        self.store.contains(keys)
    }
    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        self.store.put(blocks)
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.store.flush()
    }
    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        self.store.remove(keys)
    }
    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        self.store.scan(after, direction, limit)
    }
    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.store.stats()
    }
    fn generation(&self) -> Result<u64, StoreError> {
        self.store.generation()
    }
}

/// The recorded tree and blocks, as if a sync had published them.
struct Mirror {
    _folder: tempfile::TempDir,
    layout: Layout,
    store: MemoryStore,
}

impl Mirror {
    fn recorded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.hub()).unwrap();
        let tar = fs::File::open(format!("{FIXTURES}users.tar")).unwrap();
        tar::Archive::new(tar).unpack(layout.hub()).unwrap();
        let store = MemoryStore::default();
        for block in fs::read_dir(format!("{FIXTURES}blocks")).unwrap() {
            let payload = fs::read(block.unwrap().path()).unwrap();
            let block = VerifiedBlock::new(payload.into(), 1).unwrap();
            store.put(&[block]).unwrap();
        }
        let mut state = State::new();
        let scan = local::scan(&layout).unwrap();
        state.published = Some(Published::of(&scan.catalog));
        for (place, identity) in scan.files {
            let path = layout.users().join(&place.repository).join(&place.name);
            let md5 = Md5::of(&fs::read(path).unwrap());
            let record = FlistRecord {
                md5,
                listed_size: String::new(),
                updated: identity.modified.seconds,
                listed_at: 0,
                checked: 0,
                file_size: identity.size,
                file_md5: md5,
                form: "verbatim".to_owned(),
                blocks: true,
            };
            state.memory.flists.insert(place, record);
        }
        state.save(&layout.state()).unwrap();
        Self {
            _folder: folder,
            layout,
            store,
        }
    }

    fn key_of(&self, flist: &str) -> BlockKey {
        let path = self.layout.users().join(flist);
        let flist = Flist::open(&path, &Limits::default(), self.layout.root()).unwrap();
        let mut first = None;
        flist
            .for_each_block(&mut |key| {
                first = Some(*key);
                std::ops::ControlFlow::Break(())
            })
            .unwrap();
        first.unwrap()
    }

    fn verify(&self, store: Arc<dyn BlockStore>, options: &VerifyOptions) -> VerifyReport {
        let cancel = CancellationToken::new();
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(verify(
                &self.layout,
                store,
                options,
                progress::none(),
                cancel,
            ))
            .unwrap()
    }
}

use crate::catalog::local;

#[test]
fn the_recorded_mirror_is_whole_and_left_as_it_is() {
    let mut mirror = Mirror::recorded();
    let store = Arc::new(std::mem::take(&mut mirror.store));
    let report = mirror.verify(store.clone(), &VerifyOptions::default());
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!((report.blocks, report.flists), (136, 4));
    assert_eq!(report.block_bytes, store.stats().unwrap().payload_bytes);
    assert_eq!((report.links, report.tags), (8, 2));
    let dangling: Vec<_> = report
        .dangling
        .first
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(dangling, ["alice.3bot/dangling.flist"]);
    assert_eq!(report.notes.count, 0);
    let names = fs::read_dir(mirror.layout.hub()).unwrap().count();
    assert_eq!(names, 2);
}

#[test]
fn damaged_blocks_are_named_with_the_flists_that_need_them() {
    let mut mirror = Mirror::recorded();
    let key = mirror.key_of("tf-bootable/ubuntu-tiny.flist");
    let rotten = Arc::new(Rotten {
        store: std::mem::take(&mut mirror.store),
        rotten: vec![key],
    });
    let report = mirror.verify(rotten.clone(), &VerifyOptions::default());
    assert_eq!((report.damaged_blocks.count, report.removed_blocks), (1, 0));
    assert_eq!(report.damaged_blocks.first[0].key, key);
    let flists = report.damaged_flists.first.iter();
    assert!(
        flists
            .map(|flist| flist.place.to_string())
            .any(|name| name == "tf-bootable/ubuntu-tiny.flist")
    );
    let remove = VerifyOptions {
        remove_damaged: true,
        threads: 3,
        ..VerifyOptions::default()
    };
    assert_eq!(mirror.verify(rotten.clone(), &remove).removed_blocks, 1);
    let report = mirror.verify(rotten, &VerifyOptions::default());
    assert_eq!((report.blocks, report.damaged_blocks.count), (135, 0));
    assert!(!report.is_clean() && report.damaged_flists.first[0].blocks > 0);
}

#[test]
fn flists_that_were_changed_lost_or_planted_are_told_apart() {
    let mut mirror = Mirror::recorded();
    let store = Arc::new(std::mem::take(&mut mirror.store));
    let users = mirror.layout.users();
    let tiny = users.join("tf-bootable/ubuntu-tiny.flist");
    let mut bytes = fs::read(&tiny).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&tiny, bytes).unwrap();
    fs::remove_file(users.join("tf-autobuilder/bootstrap-260101.flist")).unwrap();
    fs::copy(
        users.join("alice.3bot/my-app-1.0.flist"),
        users.join("empty.3bot/copy.flist"),
    )
    .unwrap();
    fs::write(users.join("empty.3bot/page.flist"), "<html>").unwrap();
    let report = mirror.verify(store, &VerifyOptions::default());
    let damaged: Vec<_> = report
        .damaged_flists
        .first
        .iter()
        .map(|flist| (flist.place.to_string(), flist.reason.clone()))
        .collect();
    assert_eq!(damaged.len(), 3, "{damaged:#?}");
    assert!(damaged[0].0.contains("bootstrap") && damaged[0].1.contains("gone"));
    assert!(
        damaged
            .iter()
            .any(|(name, why)| name.contains("tiny") && why.contains("MD5"))
    );
    assert!(
        damaged
            .iter()
            .any(|(name, why)| name.contains("page") && why.contains("not an flist"))
    );
    assert_eq!(
        report.notes.first,
        ["empty.3bot/copy.flist is not remembered by any sync"]
    );
    // What leads to the flist that is gone does not lead nowhere as upstream's own links do.
    let dangling: Vec<_> = report
        .dangling
        .first
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(dangling, ["alice.3bot/dangling.flist"]);
}

/// What is wrong with links, tags and repositories, with flists and with what leads nowhere, after
/// `damage` to a recorded mirror.
fn names_after(damage: impl FnOnce(&Mirror)) -> (Vec<String>, Vec<String>, Vec<String>) {
    let mut mirror = Mirror::recorded();
    damage(&mirror);
    let store = Arc::new(std::mem::take(&mut mirror.store));
    let report = mirror.verify(store, &VerifyOptions::default());
    let names = report.damaged_names.first.iter();
    let names: Vec<_> = names
        .map(|name| format!("{}: {}", name.item, name.reason))
        .collect();
    let flists = report.damaged_flists.first.iter();
    let flists: Vec<_> = flists
        .map(|flist| format!("{}: {}", flist.place, flist.reason))
        .collect();
    assert_eq!(report.is_clean(), names.is_empty() && flists.is_empty());
    let dangling = report.dangling.first.iter().map(ToString::to_string);
    (names, flists, dangling.collect())
}

fn turn(mirror: &Mirror, link: &str, target: &str) {
    let link = mirror.layout.users().join(link);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(target, link).unwrap();
}

const UPSTREAMS_OWN: [&str; 1] = ["alice.3bot/dangling.flist"];

#[test]
fn links_tags_and_repositories_that_are_gone_or_turned_are_damage() {
    let tag = "tf-zos/.tag-v3.14.1";
    type Damage = Box<dyn Fn(&Mirror)>;
    let remove = |path: &'static str| -> Damage {
        Box::new(move |mirror| {
            let path = mirror.layout.users().join(path);
            match path.is_dir() && !path.is_symlink() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        })
    };
    let turned = |link: &'static str, target: &'static str| -> Damage {
        Box::new(move |mirror| turn(mirror, link, target))
    };
    let link = "tf-zos/.tag-v3.14.1/zos.flist";
    let gone = |item: &str| format!("{item}: it was published and is gone");
    let rows: Vec<(Damage, Vec<String>)> = vec![
        (remove(tag), vec![gone("tf-zos/tags/v3.14.1")]),
        (remove("empty.3bot"), vec![gone("empty.3bot")]),
        (remove("tf-zos/production"), vec![gone("tf-zos/production")]),
        (remove("alice.3bot/base.flist"), vec![gone("alice.3bot/base.flist")]),
        (
            remove(link),
            vec![
                "tf-zos/tags/v3.14.1: its link zos.flist to tf-zos/zos-production-v3.14.1.flist is \
                 gone"
                    .to_owned(),
            ],
        ),
        (
            turned(link, "../../tf-bootable/ubuntu-tiny.flist"),
            vec![
                "tf-zos/tags/v3.14.1: its link zos.flist leads to tf-bootable/ubuntu-tiny.flist, and \
                 led to tf-zos/zos-production-v3.14.1.flist when it was published"
                    .to_owned(),
            ],
        ),
        (
            turned(link, "/etc/passwd"),
            vec![
                "tf-zos/tags/v3.14.1: its link zos.flist to tf-zos/zos-production-v3.14.1.flist is \
                 gone"
                    .to_owned(),
            ],
        ),
        (
            turned("alice.3bot/base.flist", "my-app-1.0.flist"),
            vec![
                "alice.3bot/base.flist: it leads to alice.3bot/my-app-1.0.flist, and led to \
                 tf-bootable/ubuntu-tiny.flist when it was published"
                    .to_owned(),
            ],
        ),
        (
            turned("alice.3bot/base.flist", "/etc/passwd"),
            vec![
                "alice.3bot/base.flist: a link to tf-bootable/ubuntu-tiny.flist was published, and \
                 what is in its place links to \"/etc/passwd\", which is no flist or tag of this tree"
                    .to_owned(),
            ],
        ),
        (
            turned("tf-zos/production", "../tf-zos/.tag-v3.15.0-rc1"),
            vec![
                "tf-zos/production: it leads to tf-zos/tags/v3.15.0-rc1, and led to \
                 tf-zos/tags/v3.14.1 when it was published"
                    .to_owned(),
            ],
        ),
        // The same target in other words is the same.
        (turned(link, "../zos-production-v3.14.1.flist"), vec![]),
    ];
    for (damage, expected) in rows {
        let (names, flists, dangling) = names_after(damage);
        assert_eq!(names, expected);
        assert_eq!(flists, Vec::<String>::new());
        assert_eq!(dangling, UPSTREAMS_OWN, "{names:?}");
    }
}

#[test]
fn a_tree_that_is_gone_is_damage_and_not_no_mirror() {
    let mirror = Mirror::recorded();
    let nothing = Layout::new(mirror.layout.root().join("nothing"));
    assert!(is_mirror(&mirror.layout).unwrap() && !is_mirror(&nothing).unwrap());
    let (names, flists, dangling) = names_after(|mirror| {
        fs::remove_dir_all(mirror.layout.users()).unwrap();
        assert!(is_mirror(&mirror.layout).unwrap());
    });
    // Five repositories, the four links that are in no tag, and two tags.
    assert_eq!((names.len(), flists.len()), (5 + 5 + 2, 4), "{names:#?}");
    assert_eq!(dangling, Vec::<String>::new());
}

#[test]
fn a_repository_that_was_moved_behind_a_link_is_damage() {
    let (names, flists, _) = names_after(|mirror| {
        let users = mirror.layout.users();
        let elsewhere = mirror.layout.root().join("elsewhere");
        fs::rename(users.join("tf-zos"), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, users.join("tf-zos")).unwrap();
    });
    let first = "tf-zos: a repository was published, and what is in its place is not a \
                 repository's folder";
    assert!(names.iter().any(|name| name == first), "{names:#?}");
    assert_eq!((names.len(), flists.len()), (1 + 2 + 2, 1));
}

#[test]
fn something_else_in_the_place_of_an_flist_is_damage() {
    let (names, flists, _) = names_after(|mirror| {
        let users = mirror.layout.users();
        turn(mirror, "alice.3bot/my-app-1.0.flist", "base.flist");
        fs::remove_file(users.join("tf-bootable/ubuntu-tiny.flist")).unwrap();
        fs::create_dir(users.join("tf-bootable/ubuntu-tiny.flist")).unwrap();
    });
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(
        flists,
        [
            "alice.3bot/my-app-1.0.flist: an flist was published, and a link to \
             alice.3bot/base.flist is in its place",
            "tf-bootable/ubuntu-tiny.flist: an flist was published, and what is in its place is a \
             folder, but not a tag's"
        ]
    );
}

#[test]
fn a_state_of_an_earlier_version_compares_flists_alone() {
    let (names, flists, _) = names_after(|mirror| {
        let path = mirror.layout.state();
        let mut state = State::load(&path).unwrap().state;
        state.published = None;
        state.save(&path).unwrap();
        fs::remove_dir_all(mirror.layout.users().join("tf-zos")).unwrap();
    });
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(
        flists,
        ["tf-zos/zos-production-v3.14.1.flist: it was published and is gone"]
    );
}

#[test]
fn what_a_publication_that_was_killed_has_done_already_is_no_damage() {
    let killed = |pending_names_it: bool| {
        names_after(|mirror| {
            turn(mirror, "alice.3bot/base.flist", "my-app-1.0.flist");
            let mut state = State::load(&mirror.layout.state()).unwrap().state;
            let scan = local::scan(&mirror.layout).unwrap();
            if pending_names_it {
                state.published = Some(Published::of(&scan.catalog));
            }
            let journal = serde_json::json!({"version": 1, "steps": [], "state": state});
            fs::write(mirror.layout.publish_journal(), journal.to_string()).unwrap();
        })
    };
    assert_eq!(killed(true).0, Vec::<String>::new());
    assert_eq!(killed(false).0.len(), 1);
}

#[test]
fn blocks_that_are_damaged_and_blocks_that_are_missing_are_told_apart() {
    let place = "tf-bootable/ubuntu-tiny.flist";
    for (is_missing, what) in [(true, "missing"), (false, "damaged")] {
        let mut mirror = Mirror::recorded();
        let key = mirror.key_of(place);
        let store = std::mem::take(&mut mirror.store);
        if is_missing {
            store.remove(&[key]).unwrap();
        }
        let rotten = vec![key];
        let report = mirror.verify(
            Arc::new(Rotten { store, rotten }),
            &VerifyOptions::default(),
        );
        let reasons = report.damaged_flists.first.iter();
        let mut reasons = reasons.filter(|flist| flist.place.to_string() == place);
        let reason = &reasons.next().unwrap().reason;
        assert!(reason.ends_with(what), "{reason}");
    }
}

#[test]
fn a_damaged_snapshot_is_mentioned() {
    let mut mirror = Mirror::recorded();
    let store = Arc::new(std::mem::take(&mut mirror.store));
    let snapshots = mirror.layout.snapshots();
    fs::create_dir(&snapshots).unwrap();
    fs::write(snapshots.join("20260101-000000.json"), "{").unwrap();
    let report = mirror.verify(store, &VerifyOptions::default());
    assert!(report.is_clean());
    let note = &report.notes.first[0];
    assert!(
        note.contains("snapshot 20260101-000000 cannot be restored"),
        "{note}"
    );
}

#[test]
fn it_can_be_stopped() {
    let mut mirror = Mirror::recorded();
    let store = Arc::new(std::mem::take(&mut mirror.store));
    let cancel = CancellationToken::new();
    cancel.cancel();
    let options = VerifyOptions::default();
    let result = tokio::runtime::Runtime::new().unwrap().block_on(verify(
        &mirror.layout,
        store,
        &options,
        progress::none(),
        cancel,
    ));
    assert!(matches!(result, Err(VerifyError::Cancelled)));
}

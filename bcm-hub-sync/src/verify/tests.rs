use std::fs;

use super::*;
use crate::block::BlockKey;
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
        for (place, identity) in local::scan(&layout).unwrap().files {
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
    assert!(report.dangling.count >= 3);
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

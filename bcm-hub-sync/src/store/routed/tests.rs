use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::store::conformance::{self, block, blocks};
use crate::store::memory::MemoryStore;

/// A store that can be cut off, and damaged.
#[derive(Default)]
struct Flaky {
    inner: MemoryStore,
    down: AtomicBool,
    /// Everything that it gives is damaged.
    lies: AtomicBool,
}

impl Flaky {
    fn up(&self) -> Result<&MemoryStore, StoreError> {
        match self.down.load(Ordering::Relaxed) {
            false => Ok(&self.inner),
            true => Err(StoreError::Io {
                operation: "reach",
                path: "flaky".into(),
                source: std::io::ErrorKind::ConnectionRefused.into(),
            }),
        }
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }
}

impl BlockStore for Flaky {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        let found = self.up()?.get(key)?;
        if found.is_some() && self.lies.load(Ordering::Relaxed) {
            let (store, key) = ("flaky".to_owned(), *key);
            return Err(StoreError::DamagedBlock {
                store,
                key,
                size: 1,
            });
        }
        Ok(found)
    }
    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        self.up()?.info(key)
    }
    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        self.up()?.contains(keys)
    }
    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        self.lies.store(false, Ordering::Relaxed);
        self.up()?.put(blocks)
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.up()?.flush()
    }
    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        self.up()?.remove(keys)
    }
    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        self.up()?.scan(after, direction, limit)
    }
    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.up()?.stats()
    }
    fn generation(&self) -> Result<u64, StoreError> {
        self.up()?.generation()
    }
}

fn range(first: u8, last: u8) -> KeyRange {
    KeyRange { first, last }
}

fn routed(ranges: &[KeyRange]) -> (Vec<Arc<Flaky>>, RoutedStore) {
    let stores: Vec<Arc<Flaky>> = ranges.iter().map(|_| Arc::default()).collect();
    let members = ranges.iter().zip(&stores).enumerate();
    let members = members.map(|(number, (range, store))| {
        let store: Arc<dyn BlockStore> = store.clone();
        (*range, format!("store {number}"), store)
    });
    let routed = RoutedStore::of(members.collect()).unwrap();
    (stores, routed)
}

fn keys(seeds: std::ops::Range<u32>) -> Vec<BlockKey> {
    blocks(seeds).iter().map(|block| *block.key()).collect()
}

#[test]
fn one_store_as_a_route_conforms() {
    conformance::all_but_foreign_cursors(|| {
        let (stores, routed) = routed(&[KeyRange::ALL]);
        (stores, routed)
    });
}

#[test]
fn blocks_go_where_their_key_says() {
    let (stores, routed) = routed(&[range(0, 0x7f), range(0x80, 0xff)]);
    assert_eq!(routed.put(&blocks(0..200)).unwrap(), 200);
    assert_eq!(routed.put(&blocks(190..210)).unwrap(), 10);
    for (store, low) in stores.iter().zip([true, false]) {
        let infos = conformance::scan_all(&**store, Direction::Forward, 50);
        assert!(infos.len() > 50);
        assert!(
            infos
                .iter()
                .all(|info| (info.key.as_bytes()[0] < 0x80) == low)
        );
    }
    for block in blocks(0..210) {
        let (info, payload) = routed.get(block.key()).unwrap().unwrap();
        assert_eq!(&payload, block.payload());
        assert_eq!(routed.info(block.key()).unwrap(), Some(info));
    }
    assert_eq!(routed.stats().unwrap().blocks, 210);
    assert_eq!(routed.remove(&keys(0..20)).unwrap(), 20);
    let held = routed.contains(&keys(10..30)).unwrap();
    assert_eq!(held.iter().filter(|held| **held).count(), 10);
}

#[test]
fn a_scan_shows_each_block_once_both_ways() {
    let (stores, routed) = routed(&[range(0, 0xff), range(0x40, 0xff), range(0, 0x7f)]);
    routed.put(&blocks(0..150)).unwrap();
    // What only a replica has is shown, too.
    stores[0].remove(&keys(0..30)).unwrap();
    let mut expected = keys(0..150);
    expected.sort_unstable();
    for direction in [Direction::Forward, Direction::Backward] {
        for step in [1, 7, 1000] {
            let infos = conformance::scan_all(&routed, direction, step);
            let mut found: Vec<BlockKey> = infos.iter().map(|info| info.key).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{direction:?} by {step}");
            for info in &infos {
                assert_eq!(routed.info(&info.key).unwrap().as_ref(), Some(info));
            }
        }
    }
    let infos = conformance::scan_all(&routed, Direction::Forward, 9);
    assert!(infos.is_sorted_by(|a, b| a.cursor < b.cursor));
    let payloads = routed.read(&infos);
    for (info, payload) in infos.iter().zip(payloads) {
        assert!(info.key.verifies(&payload.unwrap().unwrap()));
    }
}

#[test]
fn reads_go_on_when_a_replica_is_down() {
    let (stores, routed) = routed(&[KeyRange::ALL, KeyRange::ALL]);
    routed.put(&blocks(0..40)).unwrap();
    for down in [0, 1] {
        stores[down].set_down(true);
        let infos = conformance::scan_all(&routed, Direction::Forward, 7);
        assert_eq!(infos.len(), 40);
        assert!(
            routed
                .read(&infos)
                .into_iter()
                .all(|p| p.unwrap().is_some())
        );
        assert!(
            routed
                .contains(&keys(0..40))
                .unwrap()
                .iter()
                .all(|held| *held)
        );
        let error = routed.get(block(99).key()).unwrap_err().to_string();
        assert!(
            error.contains("could not reach flaky"),
            "it may have it: {error}"
        );
        assert_eq!(routed.stats().unwrap().blocks, 40);
        stores[down].set_down(false);
        routed.members[down].attempt(|store| store.flush()).unwrap();
    }
    for store in &stores {
        store.set_down(true);
    }
    assert!(routed.get(block(1).key()).is_err());
    assert!(routed.contains(&keys(0..1)).is_err());
    assert!(routed.put(&blocks(50..51)).is_err());
    assert!(routed.stats().is_err());
    assert!(routed.scan(None, Direction::Forward, 9).is_err());
}

#[test]
fn what_a_replica_missed_is_said_and_mended() {
    let (stores, routed) = routed(&[KeyRange::ALL, KeyRange::ALL]);
    routed.put(&blocks(0..10)).unwrap();
    assert_eq!(routed.warnings(), [""; 0]);
    stores[1].set_down(true);
    assert_eq!(routed.put(&blocks(10..30)).unwrap(), 20);
    routed.flush().unwrap();
    let warning = &routed.warnings()[0];
    assert!(
        warning.contains("store 1 did not take 20 blocks"),
        "{warning}"
    );
    assert!(
        routed.without_copies(&keys(0..30)).is_err(),
        "it cannot be asked"
    );
    assert!(routed.remove(&keys(0..1)).is_err(), "it would come back");

    stores[1].set_down(false);
    routed.mend(&keys(0..1)).unwrap();
    let lacking = routed.without_copies(&keys(0..30)).unwrap();
    assert_eq!(lacking, keys(10..30));
    assert_eq!(routed.mend(&lacking).unwrap(), [Mended::Yes; 20]);
    assert_eq!(routed.without_copies(&keys(0..30)).unwrap(), []);
    assert_eq!(stores[1].stats().unwrap(), stores[0].stats().unwrap());
    assert_eq!(routed.mend(&keys(40..41)).unwrap(), [Mended::No]);
}

#[test]
fn a_damaged_copy_is_read_from_the_other_and_mended() {
    let (stores, routed) = routed(&[KeyRange::ALL, KeyRange::ALL]);
    routed.put(&blocks(0..1)).unwrap();
    stores[0].lies.store(true, Ordering::Relaxed);
    let (_, payload) = routed.get(block(0).key()).unwrap().unwrap();
    assert_eq!(&payload, block(0).payload());
    assert_eq!(routed.mend(&keys(0..1)).unwrap(), [Mended::Yes]);
    assert!(stores[0].get(block(0).key()).unwrap().is_some());
}

#[test]
fn routes_have_to_cover_all_keys_once_by_each_store() {
    let route = |text: &str| text.parse::<Route>().unwrap();
    let check = |texts: &[&str]| {
        RoutedStore::check(&texts.iter().map(|text| route(text)).collect::<Vec<_>>())
    };
    check(&["00-7f=zdb://a", "80-ff=zdb://b"]).unwrap();
    let error = check(&["00-7f=zdb://a", "90-ff=zdb://b"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no route keeps the keys that begin with 80-8f"
    );
    let error = check(&["00-ff=zdb://a", "00-ff=zdb://a:9900"]).unwrap_err();
    assert_eq!(error.to_string(), "zdb://a:9900/default is named twice");
}

//! What every store must do, as tests that any [`BlockStore`] can be put through.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{BlockInfo, BlockKey, BlockStore, Cursor, Direction, StoreError, VerifiedBlock};

/// Puts the stores that `make` makes (each with what must outlive it) through all of them.
pub(crate) fn all<G, S: BlockStore>(make: impl Fn() -> (G, S)) {
    refuses_a_cursor_of_another_store(&make().1, &make().1);
    all_but_foreign_cursors(make);
}

/// As [`all`], for stores whose cursors tell only places apart, not stores.
pub(crate) fn all_but_foreign_cursors<G, S: BlockStore>(make: impl Fn() -> (G, S)) {
    for test in [
        stores_and_reads::<S>,
        takes_a_block_once::<S>,
        scans_in_order_both_ways::<S>,
        cursors_outlive_their_block::<S>,
        refuses_cursors_of_others::<S>,
        removes_and_takes_again::<S>,
        reads_many::<S>,
        generation_moves::<S>,
        works_from_many_threads::<S>,
    ] {
        let (_guard, store) = make();
        test(&store);
    }
    behaves_like_the_model(&make);
}

/// The block number `seed`: every third one has a long key, sizes vary, one is empty.
pub(crate) fn block(seed: u32) -> VerifiedBlock {
    let payload: Bytes = match seed {
        0 => Bytes::new(),
        _ => {
            let size = 4 + (seed as usize * 37) % 3000;
            let mut payload = Vec::with_capacity(size);
            while payload.len() < size {
                payload.extend_from_slice(&(seed ^ (payload.len() as u32) << 20).to_le_bytes());
            }
            payload.into()
        }
    };
    if seed % 3 == 1 {
        let key = BlockKey::Long(bcm_core::digest::blake2b_256(&payload));
        VerifiedBlock::verify(key, payload, 1_000_000 + seed).unwrap()
    } else {
        VerifiedBlock::new(payload, 1_000_000 + seed).unwrap()
    }
}

pub(crate) fn blocks(seeds: std::ops::Range<u32>) -> Vec<VerifiedBlock> {
    seeds.map(block).collect()
}

fn keys(blocks: &[VerifiedBlock]) -> Vec<BlockKey> {
    blocks.iter().map(|block| *block.key()).collect()
}

/// A whole scan in steps of `step`.
pub(crate) fn scan_all(
    store: &dyn BlockStore,
    direction: Direction,
    step: usize,
) -> Vec<BlockInfo> {
    let mut all: Vec<BlockInfo> = Vec::new();
    loop {
        let after = all.last().map(|info| info.cursor);
        let page = store.scan(after.as_ref(), direction, step).unwrap();
        assert!(page.len() <= step);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn scanned_keys(store: &dyn BlockStore, direction: Direction, step: usize) -> Vec<BlockKey> {
    let infos = scan_all(store, direction, step);
    infos.iter().map(|info| info.key).collect()
}

fn stores_and_reads<S: BlockStore>(store: &S) {
    let blocks = blocks(0..20);
    let absent = block(99);
    assert_eq!(store.get(blocks[0].key()).unwrap(), None);
    assert_eq!(store.put(&blocks).unwrap(), 20);
    store.flush().unwrap();
    for block in &blocks {
        let (info, payload) = store.get(block.key()).unwrap().unwrap();
        assert_eq!(&payload, block.payload());
        assert_eq!(info.key, *block.key());
        assert_eq!(info.size as usize, payload.len());
        assert_eq!(info.timestamp, block.timestamp());
        assert_eq!(store.info(block.key()).unwrap(), Some(info));
        assert_eq!(store.check(block.key()).unwrap(), Some(true));
    }
    assert_eq!(store.get(absent.key()).unwrap(), None);
    assert_eq!(store.info(absent.key()).unwrap(), None);
    assert_eq!(store.check(absent.key()).unwrap(), None);
    assert_eq!(
        store
            .contains(&[*blocks[3].key(), *absent.key(), *blocks[0].key()])
            .unwrap(),
        [true, false, true]
    );
    let stats = store.stats().unwrap();
    let payload_bytes: usize = blocks.iter().map(|block| block.payload().len()).sum();
    assert_eq!(
        (stats.blocks, stats.payload_bytes),
        (20, payload_bytes as u64)
    );
}

fn takes_a_block_once<S: BlockStore>(store: &S) {
    assert_eq!(store.put(&[]).unwrap(), 0);
    assert_eq!(store.put(&[block(1), block(2), block(1)]).unwrap(), 2);
    let later = VerifiedBlock::verify(*block(1).key(), block(1).payload().clone(), 7).unwrap();
    assert_eq!(store.put(&[later, block(3), block(2)]).unwrap(), 1);
    assert_eq!(store.stats().unwrap().blocks, 3);
    let info = store.info(block(1).key()).unwrap().unwrap();
    assert_eq!(info.timestamp, block(1).timestamp(), "the first one stays");
    assert_eq!(
        scanned_keys(store, Direction::Forward, 10),
        keys(&blocks(1..4))
    );
}

fn scans_in_order_both_ways<S: BlockStore>(store: &S) {
    assert_eq!(store.scan(None, Direction::Forward, 10).unwrap(), []);
    assert_eq!(store.scan(None, Direction::Backward, 10).unwrap(), []);
    let blocks = blocks(0..25);
    for batch in blocks.chunks(4) {
        store.put(batch).unwrap();
        store.flush().unwrap();
    }
    let mut expected = keys(&blocks);
    for step in [1, 7, 25, 1000] {
        assert_eq!(scanned_keys(store, Direction::Forward, step), expected);
    }
    let infos = scan_all(store, Direction::Forward, 5);
    assert!(infos.is_sorted_by(|a, b| a.cursor < b.cursor));
    for (info, block) in infos.iter().zip(&blocks) {
        assert_eq!(store.info(block.key()).unwrap().as_ref(), Some(info));
    }
    expected.reverse();
    for step in [1, 7, 25, 1000] {
        assert_eq!(scanned_keys(store, Direction::Backward, step), expected);
    }
    assert_eq!(store.scan(None, Direction::Forward, 0).unwrap(), []);
}

fn cursors_outlive_their_block<S: BlockStore>(store: &S) {
    let blocks = blocks(0..6);
    store.put(&blocks).unwrap();
    let third = store.info(blocks[2].key()).unwrap().unwrap().cursor;
    let last = store.info(blocks[5].key()).unwrap().unwrap().cursor;
    assert_eq!(
        store.scan(Some(&last), Direction::Forward, 9).unwrap(),
        [],
        "the end"
    );
    assert_eq!(
        store
            .remove(&[*blocks[2].key(), *blocks[3].key(), *blocks[5].key()])
            .unwrap(),
        3
    );
    let rest = store.scan(Some(&third), Direction::Forward, 9).unwrap();
    assert_eq!(
        rest.iter().map(|info| info.key).collect::<Vec<_>>(),
        [*blocks[4].key()]
    );
    let rest = store.scan(Some(&third), Direction::Backward, 9).unwrap();
    assert_eq!(
        rest.iter().map(|info| info.key).collect::<Vec<_>>(),
        [*blocks[1].key(), *blocks[0].key()]
    );
    assert_eq!(store.scan(Some(&last), Direction::Forward, 9).unwrap(), []);
    store.put(&[block(10)]).unwrap();
    let rest = store.scan(Some(&last), Direction::Forward, 9).unwrap();
    assert_eq!(
        rest.iter().map(|info| info.key).collect::<Vec<_>>(),
        [*block(10).key()],
        "what came later is found from a cursor at the end"
    );
}

fn refuses_cursors_of_others<S: BlockStore>(store: &S) {
    store.put(&blocks(0..4)).unwrap();
    let good = store.info(block(2).key()).unwrap().unwrap().cursor;
    let mut strange = vec![Cursor([0; 17]), Cursor([0xff; 17])];
    for byte in 0..17 {
        let mut changed = good;
        changed.0[byte] ^= 1;
        strange.push(changed);
    }
    for cursor in strange {
        for direction in [Direction::Forward, Direction::Backward] {
            let answer = store.scan(Some(&cursor), direction, 3);
            assert!(
                matches!(answer, Err(StoreError::UnknownCursor)),
                "{cursor:?}"
            );
        }
    }
}

fn refuses_a_cursor_of_another_store<S: BlockStore>(one: &S, other: &S) {
    one.put(&blocks(0..4)).unwrap();
    other.put(&blocks(0..4)).unwrap();
    let cursor = other.info(block(2).key()).unwrap().unwrap().cursor;
    let answer = one.scan(Some(&cursor), Direction::Forward, 3);
    assert!(matches!(answer, Err(StoreError::UnknownCursor)));
}

fn removes_and_takes_again<S: BlockStore>(store: &S) {
    store.put(&blocks(0..10)).unwrap();
    store.flush().unwrap();
    let gone = [
        *block(4).key(),
        *block(4).key(),
        *block(50).key(),
        *block(7).key(),
    ];
    assert_eq!(store.remove(&gone).unwrap(), 2);
    assert_eq!(store.remove(&gone).unwrap(), 0);
    assert_eq!(store.contains(&gone).unwrap(), [false; 4]);
    assert_eq!(store.get(block(4).key()).unwrap(), None);
    assert_eq!(store.stats().unwrap().blocks, 8);
    assert_eq!(store.put(&[block(4)]).unwrap(), 1);
    store.flush().unwrap();
    let (_, payload) = store.get(block(4).key()).unwrap().unwrap();
    assert_eq!(&payload, block(4).payload());
    let order: Vec<BlockKey> = [0, 1, 2, 3, 5, 6, 8, 9, 4]
        .map(|seed| *block(seed).key())
        .into();
    assert_eq!(scanned_keys(store, Direction::Forward, 4), order);
    let stats = store.stats().unwrap();
    assert_eq!(
        stats.payload_bytes,
        scan_all(store, Direction::Forward, 100)
            .iter()
            .map(|info| u64::from(info.size))
            .sum::<u64>()
    );
}

fn reads_many<S: BlockStore>(store: &S) {
    let blocks = blocks(0..30);
    store.put(&blocks).unwrap();
    let infos = store.scan(None, Direction::Forward, 100).unwrap();
    store.remove(&[*blocks[11].key()]).unwrap();
    let payloads = store.read(&infos);
    assert_eq!(payloads.len(), 30);
    for (at, (block, payload)) in blocks.iter().zip(payloads).enumerate() {
        match payload.unwrap() {
            Some(payload) => assert_eq!(&payload, block.payload()),
            None => assert_eq!(at, 11),
        }
    }
    let mut backwards = infos;
    backwards.reverse();
    let payloads = store.read(&backwards[..3]);
    for (block, payload) in blocks.iter().rev().zip(payloads) {
        assert_eq!(payload.unwrap().as_ref(), Some(block.payload()));
    }
    assert!(store.read(&[]).is_empty());
}

fn generation_moves<S: BlockStore>(store: &S) {
    let empty = store.generation().unwrap();
    store.put(&[block(1)]).unwrap();
    let one = store.generation().unwrap();
    assert_ne!(empty, one);
    store.put(&[block(1)]).unwrap();
    assert_eq!(one, store.generation().unwrap(), "nothing was new");
    store.remove(&[*block(1).key()]).unwrap();
    assert_ne!(one, store.generation().unwrap());
}

fn works_from_many_threads<S: BlockStore>(store: &S) {
    store.put(&blocks(0..50)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seed in (50..400).step_by(10) {
                assert_eq!(store.put(&blocks(seed..seed + 10)).unwrap(), 10);
                store.remove(&[*block(seed).key()]).unwrap();
                store.flush().unwrap();
            }
        });
        for _ in 0..3 {
            scope.spawn(|| {
                for seed in (0..400).chain(0..400) {
                    let block = block(seed);
                    match store.get(block.key()).unwrap() {
                        Some((_, payload)) => assert_eq!(&payload, block.payload()),
                        None => assert!(seed >= 50),
                    }
                }
                let infos = scan_all(store, Direction::Forward, 64);
                assert!(infos.is_sorted_by(|a, b| a.cursor < b.cursor));
            });
        }
    });
    assert_eq!(store.stats().unwrap().blocks, 400 - 35);
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Put(Vec<u32>),
    Remove(Vec<u32>),
    Flush,
    Scan(Direction, usize),
}

pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let seeds = || proptest::collection::vec(0..40u32, 0..8);
    let operation = prop_oneof![
        4 => seeds().prop_map(Operation::Put),
        2 => seeds().prop_map(Operation::Remove),
        1 => Just(Operation::Flush),
        1 => (prop_oneof![Just(Direction::Forward), Just(Direction::Backward)], 1..9usize)
            .prop_map(|(direction, step)| Operation::Scan(direction, step)),
    ];
    proptest::collection::vec(operation, 1..40)
}

/// The blocks' seeds, in the order of insertion.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Model(pub(crate) Vec<u32>);

impl Model {
    /// Does `operation` to both and compares the answers.
    pub(crate) fn apply(&mut self, operation: &Operation, store: &dyn BlockStore) {
        match operation {
            Operation::Put(seeds) => {
                let blocks: Vec<_> = seeds.iter().copied().map(block).collect();
                let before = self.0.len();
                for seed in seeds {
                    if !self.0.contains(seed) {
                        self.0.push(*seed);
                    }
                }
                assert_eq!(store.put(&blocks).unwrap(), (self.0.len() - before) as u64);
            }
            Operation::Remove(seeds) => {
                let keys: Vec<_> = seeds.iter().map(|seed| *block(*seed).key()).collect();
                let before = self.0.len();
                self.0.retain(|seed| !seeds.contains(seed));
                assert_eq!(store.remove(&keys).unwrap(), (before - self.0.len()) as u64);
            }
            Operation::Flush => store.flush().unwrap(),
            Operation::Scan(direction, step) => {
                let mut expected: Vec<_> = self.0.iter().map(|seed| *block(*seed).key()).collect();
                if *direction == Direction::Backward {
                    expected.reverse();
                }
                assert_eq!(scanned_keys(store, *direction, *step), expected);
            }
        }
    }

    /// Compares everything.
    pub(crate) fn compare(&self, store: &dyn BlockStore) {
        let infos = scan_all(store, Direction::Forward, 7);
        let expected: Vec<_> = self.0.iter().map(|seed| block(*seed)).collect();
        assert_eq!(
            infos.iter().map(|info| info.key).collect::<Vec<_>>(),
            keys(&expected)
        );
        let all = keys(&blocks(0..40));
        let held: Vec<bool> = (0..40).map(|seed| self.0.contains(&seed)).collect();
        assert_eq!(store.contains(&all).unwrap(), held);
        for seed in 0..40 {
            let block = block(seed);
            let found = store.get(block.key()).unwrap();
            assert_eq!(found.is_some(), self.0.contains(&seed));
            if let Some((info, payload)) = found {
                assert_eq!(&payload, block.payload());
                assert_eq!(info.timestamp, block.timestamp());
                assert!(infos.contains(&info));
            }
        }
        let stats = store.stats().unwrap();
        let bytes: u64 = infos.iter().map(|info| u64::from(info.size)).sum();
        assert_eq!(
            (stats.blocks, stats.payload_bytes),
            (infos.len() as u64, bytes)
        );
    }
}

fn behaves_like_the_model<G, S: BlockStore>(make: &impl Fn() -> (G, S)) {
    let mut runner = TestRunner::new(Config {
        cases: 32,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&operations(), |operations| {
            let (_guard, store) = make();
            let mut model = Model::default();
            for operation in &operations {
                model.apply(operation, &store);
            }
            model.compare(&store);
            Ok(())
        })
        .unwrap();
}

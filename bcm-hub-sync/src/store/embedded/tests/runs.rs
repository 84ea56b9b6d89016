//! Runs by themselves, with keys that no hash would give.

use std::collections::BTreeMap;

use super::super::record::Place;
use super::super::run::{Entry, PageBuffer, Prefix, Run, RunWriter, Slot};
use super::*;

fn slot(number: u64) -> Slot {
    Slot {
        number,
        place: Place {
            segment: number as u32 % (1 << 24),
            offset: number as u32 * 7,
            size: number as u32 % (8 << 20),
        },
        removed: number.is_multiple_of(5),
    }
}

fn write(folder: &Path, keys: impl IntoIterator<Item = BlockKey>) -> (Run, Vec<(BlockKey, Slot)>) {
    let mut entries: Vec<(BlockKey, Slot)> = keys.into_iter().zip((1..).map(slot)).collect();
    entries.sort_by_key(|(key, _)| Prefix::of(key));
    let mut writer = RunWriter::create(folder, "run", 9).unwrap();
    for (key, slot) in &entries {
        let prefix = Prefix::of(key);
        writer
            .push(&Entry {
                prefix,
                slot: *slot,
            })
            .unwrap();
    }
    assert_eq!(writer.finish().unwrap(), entries.len() as u64);
    (Run::open(folder, "run", 9).unwrap(), entries)
}

fn find(run: &Run, key: &BlockKey, entries: &[(BlockKey, Slot)]) -> Option<Slot> {
    run.find(&Prefix::of(key), &mut PageBuffer::default(), |slot| {
        let found = entries.iter().find(|(_, known)| known == slot);
        Ok(found.is_some_and(|(known, _)| known == key))
    })
    .unwrap()
}

fn short(n: u128) -> BlockKey {
    BlockKey::Short(n.to_be_bytes())
}

#[test]
fn uneven_keys_are_found() {
    let mut random = 1u128;
    let mut next = || {
        random = random
            .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
            .wrapping_add(1);
        random
    };
    let even: Vec<u128> = (0..2000).map(|_| next()).collect();
    let kinds: [Vec<u128>; 6] = [
        even.clone(),
        // All in one bucket, at its beginning or its end, and one far from the rest.
        (0..2000).map(|n| n * 3).collect(),
        (0..2000).map(|n| u128::MAX - n * 3).collect(),
        (1..1999).map(|n| n * 3).chain([u128::MAX >> 12]).collect(),
        // Ever closer together.
        (0..120).map(|n| (1 << n) | 1).collect(),
        vec![even[0]],
    ];
    for kind in kinds {
        let folder = folder_in_memory();
        let (run, entries) = write(folder.path(), kind.iter().copied().map(short));
        let held: BTreeMap<BlockKey, Slot> = entries.iter().copied().collect();
        for n in kind {
            for key in [
                n,
                n.wrapping_add(1),
                n.wrapping_sub(1),
                n ^ 1 << 127,
                next(),
            ] {
                let key = short(key);
                assert_eq!(find(&run, &key, &entries), held.get(&key).copied());
            }
        }
    }
}

#[test]
fn an_empty_run_has_nothing() {
    let folder = folder_in_memory();
    let (run, entries) = write(folder.path(), []);
    for key in [0, u128::MAX] {
        assert_eq!(find(&run, &short(key), &entries), None);
    }
}

/// Nobody can make hashes that begin alike, so far. They are told apart all the same: by length,
/// and by what follows.
#[test]
fn keys_that_begin_alike_are_told_apart() {
    let alike = |n: u32| {
        let mut key = [7; 32];
        key[28..].copy_from_slice(&n.to_be_bytes());
        BlockKey::Long(key)
    };
    let folder = folder_in_memory();
    let others = (0..300u128).map(|n| short(n << 119));
    let keys = (0..400)
        .map(alike)
        .chain([BlockKey::Short([7; 16])])
        .chain(others);
    let (run, entries) = write(folder.path(), keys);
    for (key, slot) in &entries {
        assert_eq!(find(&run, key, &entries), Some(*slot));
    }
    assert_eq!(find(&run, &alike(400), &entries), None);
}

#[test]
fn a_store_tells_keys_apart_that_begin_alike() {
    // Two hashes that share 16 bytes cannot be made for a test, so the runs are given such keys
    // through the table, as a merge would get them.
    let folder = folder_in_memory();
    let store = open_small(folder.path());
    store.put(&blocks(0..20)).unwrap();
    let journal = store.journal.get().unwrap();
    // Every third block has a long key.
    let long: Vec<BlockKey> = (0..20)
        .filter(|seed| seed % 3 == 1)
        .map(|seed| *block(seed).key())
        .collect();
    for key in &long {
        let found = store.find(journal, key).unwrap().unwrap();
        assert_eq!(index::key_of(journal, found.number).unwrap(), *key);
        let BlockKey::Long(bytes) = key else { panic!() };
        let mut near = *bytes;
        near[31] ^= 1;
        assert_eq!(store.find(journal, &BlockKey::Long(near)).unwrap(), None);
        let short = BlockKey::from_bytes(&bytes[..16]).unwrap();
        assert_eq!(store.find(journal, &short).unwrap(), None);
    }
}

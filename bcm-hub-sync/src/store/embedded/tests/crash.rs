//! Power cuts: what a disk may hold afterwards, and what must still be there.

use super::*;

/// Every length that the journal may have been cut to, back to the last flush.
#[test]
fn any_cut_of_the_journals_tail_is_a_clean_end() {
    let folder = folder_in_memory();
    let store = open(folder.path());
    store.put(&blocks(0..5)).unwrap();
    store.flush().unwrap();
    let path = folder.path().join(journal::FILE_NAME);
    let flushed = fs::metadata(&path).unwrap().len();
    store.put(&blocks(5..7)).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for length in flushed..=whole.len() as u64 {
        let copied = folder_in_memory();
        copy(folder.path(), copied.path());
        let journal = copied.path().join(journal::FILE_NAME);
        fs::write(&journal, &whole[..length as usize]).unwrap();
        let store = open(copied.path());
        let kept = 5 + ((length - flushed) / 64) as u32;
        let held = scan_all(&store, Direction::Forward, 3);
        assert_eq!(held.len(), kept as usize, "at {length}");
        // And it goes on.
        store.put(&blocks(0..12)).unwrap();
        store.flush().unwrap();
        drop(store);
        let store = open(copied.path());
        for block in blocks(0..12) {
            assert_eq!(store.check(block.key()).unwrap(), Some(true));
        }
        assert_eq!(store.scan(None, Direction::Forward, 3).unwrap(), held[..3]);
    }
}

#[test]
fn any_cut_of_the_last_segment_is_a_clean_end() {
    let folder = folder_in_memory();
    let store = open(folder.path());
    store.put(&blocks(3..5)).unwrap();
    store.flush().unwrap();
    let path = store.segments.path(1);
    let flushed = fs::metadata(&path).unwrap().len();
    store.put(&blocks(0..3)).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for length in flushed as usize..=whole.len() {
        let copied = folder_in_memory();
        copy(folder.path(), copied.path());
        let name = path.file_name().unwrap();
        fs::write(copied.path().join(name), &whole[..length]).unwrap();
        let store = open(copied.path());
        let infos = scan_all(&store, Direction::Forward, 10);
        assert!(infos.len() >= 2);
        for info in &infos {
            assert_eq!(store.check(&info.key).unwrap(), Some(true), "at {length}");
        }
        assert_eq!(infos.len() == 5, length == whole.len());
    }
}

/// What one file may hold when only `old` was synced and `new` was written since: any part of the
/// new bytes, in any order, at any length.
fn after_power_cut(old: &[u8], new: &[u8], choices: &mut impl Iterator<Item = u32>) -> Vec<u8> {
    let length = old.len() + choices.next().unwrap() as usize % (new.len() - old.len() + 1);
    let mut bytes = new[..length].to_vec();
    // Pages that were not written are zeros.
    let mut page = old.len() / 4096 * 4096;
    while page < length {
        if choices.next().unwrap().is_multiple_of(3) {
            let from = page.max(old.len());
            let to = (page + 4096).min(length);
            bytes[from..to].fill(0);
        }
        page += 4096;
    }
    bytes
}

/// Whatever of the unflushed bytes reached the disk: what was flushed is there, and nothing that is
/// listed is damaged.
#[test]
fn a_power_cut_takes_only_what_was_not_flushed() {
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let plan = (
        1..30u32,
        proptest::collection::vec(1..12u32, 1..6),
        any::<bool>(),
        proptest::collection::vec(any::<u32>(), 64),
    );
    runner
        .run(&plan, |(flushed, later, late_commit, choices)| {
            let limits = Limits {
                segment_bytes: 20_000,
                ..Limits::default()
            };
            let folder = folder_in_memory();
            let store =
                EmbeddedStore::open_with(folder.path().into(), Access::ReadWrite, limits).unwrap();
            store.put(&blocks(0..flushed)).unwrap();
            store.flush().unwrap();
            let durable = folder_in_memory();
            copy(folder.path(), durable.path());
            let mut next = flushed;
            for count in later {
                store.put(&blocks(next..next + count)).unwrap();
                next += count;
            }
            // With `late_commit`, the power goes while the journal is being synced: the payloads
            // are all on disk, the records perhaps not.
            if late_commit {
                store.flush().unwrap();
            }
            drop(store);
            let cut = folder_in_memory();
            let mut choices = choices.into_iter().cycle();
            for name in names(folder.path(), "") {
                let old = fs::read(durable.path().join(&name)).unwrap_or_default();
                let new = fs::read(folder.path().join(&name)).unwrap();
                let exact = old.len() == new.len()
                    || name.starts_with("blocks-") && late_commit
                    || name == "lock";
                let bytes = match exact {
                    true => new,
                    false => after_power_cut(&old, &new, &mut choices),
                };
                fs::write(cut.path().join(&name), bytes).unwrap();
            }
            for _ in 0..2 {
                let store =
                    EmbeddedStore::open_with(cut.path().into(), Access::ReadWrite, limits).unwrap();
                let infos = scan_all(&store, Direction::Forward, 100);
                prop_assert!(infos.len() >= flushed as usize);
                for info in &infos {
                    prop_assert_eq!(store.check(&info.key).unwrap(), Some(true));
                }
                for block in blocks(0..flushed) {
                    prop_assert_eq!(store.check(block.key()).unwrap(), Some(true));
                }
                store.put(&blocks(0..next + 3)).unwrap();
                store.flush().unwrap();
            }
            Ok(())
        })
        .unwrap();
}

/// Copies taken between any two operations, as after `kill -9`.
#[test]
fn a_copy_at_any_moment_opens() {
    let mut runner = TestRunner::new(Config {
        cases: 4,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&conformance::operations(), |operations| {
            let folder = folder_in_memory();
            let store = open_small(folder.path());
            let mut model = Model::default();
            for operation in &operations {
                model.apply(operation, &store);
                let copied = folder_in_memory();
                copy(folder.path(), copied.path());
                model.compare(&open_small(copied.path()));
            }
            Ok(())
        })
        .unwrap();
}

/// Steps that a crash can come between, when a run is written: the new run is there and the
/// manifest is the old one, or old runs are still there after the new manifest.
#[test]
fn a_crash_around_a_merge_leaves_no_trace() {
    let folder = folder_in_memory();
    let store = open_small(folder.path());
    store.put(&blocks(0..30)).unwrap();
    store.flush().unwrap();
    let before = folder_in_memory();
    copy(folder.path(), before.path());
    for seed in 30..60 {
        store.put(&[block(seed)]).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    for old_manifest in [true, false] {
        let mixed = folder_in_memory();
        copy(before.path(), mixed.path());
        copy(folder.path(), mixed.path());
        if old_manifest {
            let name = manifest::FILE_NAME;
            fs::copy(before.path().join(name), mixed.path().join(name)).unwrap();
        }
        fs::write(mixed.path().join("index-000999.run"), b"half a run").unwrap();
        let reader = EmbeddedStore::open(mixed.path(), Access::ReadOnly).unwrap();
        let store = open_small(mixed.path());
        for seed in 0..60 {
            assert_eq!(store.check(block(seed).key()).unwrap(), Some(true));
            assert_eq!(reader.check(block(seed).key()).unwrap(), Some(true));
        }
        let used = store.state().runs.len();
        assert_eq!(names(mixed.path(), "index-").len(), used);
    }
}

mod crash;
mod damage;
mod disk_full;
mod flips;
mod kill;
mod readers;
mod runs;

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::store::conformance::{self, Model, Operation, block, blocks, scan_all};

/// How many more bytes a pretended disk takes.
#[derive(Debug)]
pub(super) struct DiskRoom(AtomicU64);

impl Default for DiskRoom {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl DiskRoom {
    pub(super) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// All of `bytes`, or an error.
    pub(super) fn take(&self, bytes: usize) -> io::Result<()> {
        match self.take_some(bytes) {
            Ok(taken) if taken == bytes => Ok(()),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// As many of `bytes` as there is room for.
    pub(super) fn take_some(&self, bytes: usize) -> io::Result<usize> {
        let taken = self.0.load(Ordering::Relaxed).min(bytes as u64);
        if taken == 0 && bytes > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.0.load(Ordering::Relaxed) != u64::MAX {
            self.0.fetch_sub(taken, Ordering::Relaxed);
        }
        Ok(taken as usize)
    }
}

/// Thousands of flushes to a disk take minutes where it has other work, and no test can see whether
/// a disk was waited for. Where there is no file system in memory, one on disk has to do.
fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Limits under which a few blocks make several segments and runs.
fn small() -> Limits {
    Limits {
        segment_bytes: 20_000,
        tail_records: 7,
        unflushed_bytes: 30_000,
    }
}

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(folder, Access::ReadWrite).unwrap()
}

fn open_small(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open_with(folder.to_owned(), Access::ReadWrite, small()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The names of the files that begin with `prefix`, sorted.
fn names(folder: &Path, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

#[test]
fn conforms() {
    conformance::all(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        (folder, store)
    });
}

#[test]
fn conforms_with_many_small_files() {
    conformance::all(|| {
        let folder = folder_in_memory();
        let store = open_small(&folder.path().join("new/folder"));
        (folder, store)
    });
}

#[derive(Debug, Clone)]
enum Step {
    Do(Operation),
    Reopen,
    /// With a table that holds everything, or one that holds seven.
    ReopenWith(bool),
}

/// Whatever is done, with the store opened again at any point: it equals the model, and so does
/// what a reader sees that was there all along.
#[test]
fn behaves_like_the_model_across_restarts() {
    let step = prop_oneof![
        4 => conformance::operations().prop_map(|all| Step::Do(all[0].clone())),
        1 => Just(Step::Reopen),
        1 => any::<bool>().prop_map(Step::ReopenWith),
    ];
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&proptest::collection::vec(step, 1..40), |steps| {
            let folder = folder_in_memory();
            let path = folder.path();
            let reader = EmbeddedStore::open(path, Access::ReadOnly).unwrap();
            let mut store = open_small(path);
            let mut model = Model::default();
            for step in &steps {
                match step {
                    Step::Do(operation) => model.apply(operation, &store),
                    Step::Reopen => {
                        drop(store);
                        store = open_small(path);
                    }
                    Step::ReopenWith(large) => {
                        drop(store);
                        store = if *large { open(path) } else { open_small(path) };
                    }
                }
                prop_assert_eq!(reader.stats().unwrap().blocks, model.0.len() as u64);
            }
            model.compare(&store);
            model.compare(&reader);
            let late = EmbeddedStore::open(path, Access::ReadOnly).unwrap();
            model.compare(&late);
            prop_assert_eq!(reader.generation().unwrap(), store.generation().unwrap());
            Ok(())
        })
        .unwrap();
}

#[test]
fn cursors_survive_a_restart() {
    let folder = folder_in_memory();
    let before = {
        let store = open_small(folder.path());
        store.put(&blocks(0..30)).unwrap();
        store.remove(&[*block(5).key()]).unwrap();
        scan_all(&store, Direction::Forward, 4)
    };
    let store = open_small(folder.path());
    assert_eq!(scan_all(&store, Direction::Forward, 100), before);
    let rest = store
        .scan(Some(&before[10].cursor), Direction::Forward, 3)
        .unwrap();
    assert_eq!(rest, before[11..14]);
}

#[test]
fn a_second_writer_is_told_about_the_first() {
    let folder = folder_in_memory();
    let first = open(folder.path());
    let second = EmbeddedStore::open(folder.path(), Access::ReadWrite).unwrap_err();
    let text = second.to_string();
    assert!(matches!(second, StoreError::InUse { .. }));
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
    drop(first);
    open(folder.path());
}

#[test]
fn a_full_table_becomes_runs_that_are_merged() {
    let folder = folder_in_memory();
    let store = open_small(folder.path());
    for seed in 0..500 {
        store.put(&[block(seed)]).unwrap();
    }
    let runs = store.state().runs.clone();
    assert!((2..=5).contains(&runs.len()), "{} runs", runs.len());
    assert_eq!(names(folder.path(), "index-").len(), runs.len());
    assert!(store.state().tail.len() <= 7);
    assert!(names(folder.path(), "blocks-").len() > 10);
    // Removals do not stay in the index for ever.
    for seed in 0..500 {
        store.remove(&[*block(seed).key()]).unwrap();
    }
    let entries: u64 = store.state().runs.iter().map(|run| run.count()).sum();
    assert!(entries < 500, "{entries} entries for no blocks");
}

#[test]
fn removal_gives_room_back() {
    let folder = folder_in_memory();
    let store = open(folder.path());
    let large: Vec<VerifiedBlock> = (0..8u8)
        .map(|n| VerifiedBlock::new(vec![n; 1 << 20].into(), 0).unwrap())
        .collect();
    store.put(&large).unwrap();
    store.flush().unwrap();
    let full = store.stats().unwrap().disk_bytes;
    assert!(full >= 8 << 20);
    let keys: Vec<BlockKey> = large[1..7].iter().map(|block| *block.key()).collect();
    store.remove(&keys).unwrap();
    let left = store.stats().unwrap().disk_bytes;
    // Where the file system cannot, everything else still holds.
    if store
        .segments
        .punch(1, (1 << 20) + 200..(1 << 20) + 8192)
        .unwrap()
    {
        assert!(left < 3 << 20, "{left} of {full}");
    }
    for block in [&large[0], &large[7]] {
        assert_eq!(store.check(block.key()).unwrap(), Some(true));
    }
}

#[test]
fn a_read_only_store_is_not_written() {
    let folder = folder_in_memory();
    let path = folder.path().join("none");
    let reader = EmbeddedStore::open(&path, Access::ReadOnly).unwrap();
    assert!(matches!(reader.put(&[block(1)]), Err(StoreError::ReadOnly)));
    assert!(matches!(reader.remove(&[]), Err(StoreError::ReadOnly)));
    assert!(matches!(reader.flush(), Err(StoreError::ReadOnly)));
    assert_eq!(reader.stats().unwrap(), StoreStats::default());
    assert!(!path.exists());
}

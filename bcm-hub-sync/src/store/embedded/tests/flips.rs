//! A journal in which single bytes, sectors, or all from some point on are not what was written.

use super::*;

fn large(seed: u8) -> VerifiedBlock {
    VerifiedBlock::new(vec![seed; 6_000].into(), 0).unwrap()
}

fn key(seed: u8) -> BlockKey {
    *large(seed).key()
}

fn journal_of(folder: &Path) -> PathBuf {
    folder.join(journal::FILE_NAME)
}

fn lengths(folder: &Path) -> Vec<u64> {
    let length = |name: &String| fs::metadata(folder.join(name)).unwrap().len();
    names(folder, "blocks-").iter().map(length).collect()
}

/// What `make` leaves behind, and the keys that are there.
fn store_of(make: impl Fn(&EmbeddedStore)) -> (tempfile::TempDir, Vec<BlockKey>) {
    let folder = folder_in_memory();
    let store = open(folder.path());
    make(&store);
    let keys = scan_all(&store, Direction::Forward, 100);
    (folder, keys.iter().map(|info| info.key).collect())
}

fn put(store: &EmbeddedStore, seeds: std::ops::Range<u8>) {
    let blocks: Vec<VerifiedBlock> = seeds.map(large).collect();
    store.put(&blocks).unwrap();
}

fn assert_whole(store: &EmbeddedStore, keys: &[BlockKey], what: &str) {
    for key in keys {
        assert_eq!(store.check(key).unwrap(), Some(true), "{what}");
    }
    let listed = scan_all(store, Direction::Forward, 100);
    for key in keys {
        assert!(listed.iter().any(|info| info.key == *key), "{what}");
    }
}

/// Opens a copy of `whole` with another journal, and holds it to the rule: an error that names the
/// journal, or all of `keys`. Returns whether it opened.
fn opens_or_says_why(whole: &Path, keys: &[BlockKey], journal: &[u8], what: &str) -> bool {
    let folder = folder_in_memory();
    copy(whole, folder.path());
    let path = journal_of(folder.path());
    fs::write(&path, journal).unwrap();
    let named = |error: StoreError| match error {
        StoreError::Damaged { path: damaged, .. } => assert_eq!(damaged, path, "{what}"),
        other => panic!("{what}: {other}"),
    };
    let mut seen = false;
    match EmbeddedStore::open(folder.path(), Access::ReadOnly) {
        Ok(reader) => match reader.audit() {
            Ok(()) => {
                assert_whole(&reader, keys, what);
                seen = true;
            }
            Err(error) => named(error),
        },
        Err(error) => named(error),
    }
    let before = lengths(folder.path());
    match EmbeddedStore::open(folder.path(), Access::ReadWrite) {
        Ok(store) => {
            assert_whole(&store, keys, what);
            store.put(&blocks(0..3)).unwrap();
            store.flush().unwrap();
            drop(store);
            let store = open(folder.path());
            assert_whole(&store, keys, what);
            store.audit().unwrap();
            true
        }
        Err(error) => {
            assert!(!seen, "{what}: the audit must see what a writer refuses");
            named(error);
            assert_eq!(lengths(folder.path()), before, "{what}");
            assert_eq!(fs::read(&path).unwrap(), journal, "{what}");
            false
        }
    }
}

#[test]
fn no_flipped_byte_loses_a_block() {
    type Make = fn(&EmbeddedStore);
    let stores: [Make; 5] = [
        |store| {
            put(store, 0..6);
            store.flush().unwrap();
        },
        |store| {
            for seed in 0..3 {
                put(store, seed..seed + 1);
                store.flush().unwrap();
            }
            put(store, 3..6);
            store.flush().unwrap();
        },
        // Without a commit at the end.
        |store| {
            put(store, 0..3);
            store.flush().unwrap();
            put(store, 3..6);
        },
        |store| {
            put(store, 0..4);
            store.flush().unwrap();
            store.remove(&[key(1), key(2)]).unwrap();
        },
        // What is put and removed has one commit for both, and its room is given back.
        |store| {
            put(store, 0..2);
            store.flush().unwrap();
            put(store, 2..6);
            store.remove(&[key(0), key(3)]).unwrap();
        },
    ];
    for (which, make) in stores.iter().enumerate() {
        let (folder, keys) = store_of(make);
        let whole = fs::read(journal_of(folder.path())).unwrap();
        let (mut opened, mut refused) = (0, 0);
        for at in (0..whole.len()).step_by(if which == 0 { 1 } else { 3 }) {
            let mut journal = whole.clone();
            journal[at] ^= if at % 2 == 0 { 0x10 } else { 0xff };
            let what = format!("store {which}, byte {at}");
            match opens_or_says_why(folder.path(), &keys, &journal, &what) {
                true => opened += 1,
                false => refused += 1,
            }
        }
        // Neither a store that refuses whatever is damaged, nor one that never looks.
        assert!(
            opened > 0 && refused > 0,
            "store {which}: {opened} opened, {refused} refused"
        );
    }
}

/// With runs, old records are looked at when they are needed, and named then.
#[test]
fn a_flipped_byte_under_the_index_cuts_nothing() {
    let folder = folder_in_memory();
    {
        let store = open_small(folder.path());
        for seed in 0..20 {
            put(&store, seed..seed + 1);
            if seed % 4 == 3 {
                store.flush().unwrap();
            }
        }
        store.flush().unwrap();
    }
    let whole = fs::read(journal_of(folder.path())).unwrap();
    let before = lengths(folder.path());
    let (mut opened, mut refused, mut found_later) = (0, 0, 0);
    for at in (0..whole.len()).step_by(13) {
        let copied = folder_in_memory();
        copy(folder.path(), copied.path());
        let path = journal_of(copied.path());
        let mut journal = whole.clone();
        journal[at] ^= 0x10;
        fs::write(&path, journal).unwrap();
        let reader = EmbeddedStore::open(copied.path(), Access::ReadOnly);
        let healthy = reader.is_ok_and(|reader| reader.audit().is_ok());
        let assert_named = |error: StoreError| match error {
            StoreError::Damaged { path: named, .. } => {
                assert_eq!(named, path);
                assert!(!healthy, "byte {at}");
            }
            error => panic!("byte {at}: {error}"),
        };
        match EmbeddedStore::open_with(copied.path().into(), Access::ReadWrite, small()) {
            Ok(store) => {
                opened += 1;
                found_later += u32::from(!healthy);
                for seed in 0..20 {
                    match store.get(&key(seed)) {
                        Ok(found) => assert!(found.is_some(), "byte {at}"),
                        Err(error) => assert_named(error),
                    }
                }
            }
            Err(error) => {
                refused += 1;
                assert_named(error);
            }
        }
        assert_eq!(lengths(copied.path()), before, "byte {at}");
    }
    assert!(
        refused > 0 && found_later > 0 && found_later < opened,
        "{opened} opened, the audit finds {found_later} of them, and {refused} were refused"
    );
}

/// Whatever follows the flushed records, zeros or anything else: they stay, and the store opens.
#[test]
fn a_torn_tail_of_any_kind_is_a_clean_end() {
    let (folder, keys) = store_of(|store| {
        put(store, 0..3);
        store.flush().unwrap();
        put(store, 3..6);
        store.flush().unwrap();
    });
    let whole = fs::read(journal_of(folder.path())).unwrap();
    for cut in (64..=whole.len()).step_by(5).chain([whole.len()]) {
        // Records 1 to 3 and 5 to 7 are puts.
        let kept = |number: usize| (number + 1) * 64 <= cut;
        let puts = [1, 2, 3, 5, 6, 7];
        let left = puts.iter().filter(|number| kept(**number)).count();
        let what = format!("cut at {cut}");
        let path = journal_of(folder.path());
        let copied = folder_in_memory();
        copy(folder.path(), copied.path());
        fs::write(journal_of(copied.path()), &whole[..cut]).unwrap();
        assert_whole(&open(copied.path()), &keys[..left], &what);

        for fill in [0, 0xa5] {
            let mut torn = whole.clone();
            torn[cut..].fill(fill);
            // The payloads are there, and in front of them what the journal lost, but not the
            // commit between them, which the second half of them proves.
            let what = format!("{fill} from {cut} on");
            let opened = opens_or_says_why(folder.path(), &keys, &torn, &what);
            let commit = 4 * 64..5 * 64 - 1;
            assert_eq!(opened, torn[commit.clone()] == whole[commit], "{what}");
        }
        assert_eq!(fs::read(path).unwrap(), whole);
    }
}

/// The disk got the commit, and the payloads before that, but not all records between.
#[test]
fn records_that_the_disk_did_not_get_are_made_again() {
    let folder = folder_in_memory();
    let store = open_small(folder.path());
    store.put(&blocks(0..6)).unwrap();
    drop(store);
    let store = open(folder.path());
    put(&store, 0..30);
    store.flush().unwrap();
    let before = scan_all(&store, Direction::Forward, 100);
    drop(store);
    let whole = fs::read(journal_of(folder.path())).unwrap();
    let sectors = whole.len() / 512;
    for sector in 1..sectors {
        let mut torn = whole.clone();
        torn[sector * 512..(sector + 1) * 512].fill(0);
        fs::write(journal_of(folder.path()), &torn).unwrap();
        let reader = EmbeddedStore::open(folder.path(), Access::ReadOnly).unwrap();
        let error = reader.audit().unwrap_err();
        assert!(error.to_string().contains("makes it again"), "{error}");
        let store = open(folder.path());
        // With the same cursors.
        assert_eq!(scan_all(&store, Direction::Forward, 100), before);
        assert_eq!(scan_all(&reader, Direction::Forward, 100), before);
        for info in &before {
            assert_eq!(store.check(&info.key).unwrap(), Some(true));
        }
        drop(store);
        assert_eq!(fs::read(journal_of(folder.path())).unwrap(), whole);
    }
}

/// A removal that was being made durable may be undone by a power cut, and takes nothing with it.
#[test]
fn removals_that_the_disk_did_not_get_are_undone() {
    let (folder, keys) = store_of(|store| {
        put(store, 0..31);
        store.flush().unwrap();
    });
    let before = folder_in_memory();
    copy(folder.path(), before.path());
    let flushed = fs::metadata(journal_of(folder.path())).unwrap().len() as usize;
    open(folder.path()).remove(&keys[..20]).unwrap();
    let after = fs::read(journal_of(folder.path())).unwrap();
    // The records of the blocks are marked only after that.
    let mut torn = fs::read(journal_of(before.path())).unwrap();
    torn.extend_from_slice(&after[flushed..]);
    torn[flushed..].first_chunk_mut::<512>().unwrap().fill(0);
    let what = "no first sector of the removals";
    assert!(opens_or_says_why(before.path(), &keys, &torn, what));
}

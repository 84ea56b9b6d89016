//! Bytes that change on disk.

use super::*;

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_payload_is_found_and_hides_nothing_else() {
    let folder = folder_in_memory();
    let store = open(folder.path());
    store.put(&blocks(0..12)).unwrap();
    store.flush().unwrap();
    let place = store
        .find(store.journal.get().unwrap(), block(5).key())
        .unwrap()
        .unwrap()
        .place;
    for at in [place.offset as usize, place.end() as usize - 1] {
        let path = store.segments.path(1);
        flip(&path, at);
        let error = store.get(block(5).key()).unwrap_err();
        let StoreError::Damaged {
            path: named,
            offset,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*named, path);
        assert!((u64::from(place.offset)..place.end()).contains(offset));
        assert_eq!(store.check(block(5).key()).unwrap(), Some(false));
        let infos = store.scan(None, Direction::Forward, 100).unwrap();
        for (info, payload) in infos.iter().zip(store.read(&infos)) {
            let intact = matches!(&payload, Ok(Some(payload)) if info.key.verifies(payload));
            assert_eq!(intact, info.key != *block(5).key());
        }
        flip(&path, at);
    }
    // It can be taken out and put again.
    flip(&store.segments.path(1), place.end() as usize - 1);
    assert_eq!(store.remove(&[*block(5).key()]).unwrap(), 1);
    assert_eq!(store.put(&[block(5)]).unwrap(), 1);
    assert_eq!(store.check(block(5).key()).unwrap(), Some(true));
}

#[test]
fn a_missing_segment_takes_only_its_own_blocks() {
    let folder = folder_in_memory();
    let store = open_small(folder.path());
    store.put(&blocks(0..100)).unwrap();
    store.flush().unwrap();
    drop(store);
    let segments = names(folder.path(), "blocks-");
    fs::remove_file(folder.path().join(&segments[0])).unwrap();
    // The last one, too: nothing is put where blocks are missing.
    fs::remove_file(folder.path().join(&segments[segments.len() - 1])).unwrap();
    let store = open_small(folder.path());
    let damaged = |seed: u32| store.check(block(seed).key()).unwrap() == Some(false);
    assert!(damaged(0) && damaged(99) && !damaged(50));
    store.put(&blocks(100..105)).unwrap();
    assert!((100..105).all(|seed| !damaged(seed)));
    assert!(damaged(99));
}

#[test]
fn a_damaged_record_is_named_when_it_had_been_durable() {
    let folder = folder_in_memory();
    {
        let store = open(folder.path());
        for seed in 0..5 {
            store.put(&[block(seed)]).unwrap();
            store.flush().unwrap();
        }
    }
    let path = folder.path().join(journal::FILE_NAME);
    // Records 1, 3, 5, 7, 9 are puts, the others commits.
    for number in 1..8 {
        for at in [0, 5, 20, 62] {
            flip(&path, number * 64 + at);
            let error = EmbeddedStore::open(folder.path(), Access::ReadWrite).unwrap_err();
            let StoreError::Damaged {
                path: named,
                offset,
                ..
            } = &error
            else {
                panic!("{error}");
            };
            assert_eq!((named, *offset), (&path, number as u64 * 64));
            flip(&path, number * 64 + at);
        }
    }
    flip(&path, 3);
    let error = EmbeddedStore::open(folder.path(), Access::ReadWrite).unwrap_err();
    assert!(error.to_string().contains("journal"), "{error}");
    flip(&path, 3);
    assert_eq!(open(folder.path()).stats().unwrap().blocks, 5);
    fs::remove_file(&path).unwrap();
    let error = EmbeddedStore::open(folder.path(), Access::ReadWrite).unwrap_err();
    assert!(error.to_string().contains("journal"), "{error}");
}

#[test]
fn a_damaged_index_is_made_again() {
    let folder = folder_in_memory();
    let mut model = Model::default();
    {
        let store = open_small(folder.path());
        model.apply(&Operation::Put((0..40).collect()), &store);
        model.apply(&Operation::Remove(vec![3, 17, 31]), &store);
        model.apply(&Operation::Flush, &store);
    }
    let spoil: [&dyn Fn(&Path); 5] = [
        &|folder| fs::remove_file(folder.join(manifest::FILE_NAME)).unwrap(),
        &|folder| flip(&folder.join(manifest::FILE_NAME), 60),
        &|folder| fs::remove_file(folder.join(&names(folder, "index-")[0])).unwrap(),
        // In the header, and in a page.
        &|folder| flip(&folder.join(&names(folder, "index-")[0]), 40),
        &|folder| flip(&folder.join(&names(folder, "index-")[0]), 9 * 4096 + 40),
    ];
    for spoil in spoil {
        spoil(folder.path());
        let store = open_small(folder.path());
        model.compare(&store);
        let used = store.state().runs.len();
        assert_eq!(names(folder.path(), "index-").len(), used);
        drop(store);
        model.compare(&EmbeddedStore::open(folder.path(), Access::ReadOnly).unwrap());
    }
    // And while the store is open, at a merge.
    let store = open_small(folder.path());
    for name in names(folder.path(), "index-") {
        flip(&folder.path().join(name), 9 * 4096 + 40);
    }
    for seed in 0..30 {
        store.put(&[block(100 + seed)]).unwrap();
        store.remove(&[*block(100 + seed).key()]).unwrap();
    }
    model.compare(&store);
}

#[test]
fn a_reader_names_the_damaged_index() {
    let folder = folder_in_memory();
    let store = open_small(folder.path());
    store.put(&blocks(0..40)).unwrap();
    drop(store);
    for name in names(folder.path(), "index-") {
        flip(&folder.path().join(name), 9 * 4096 + 40);
    }
    let reader = EmbeddedStore::open(folder.path(), Access::ReadOnly).unwrap();
    let keys: Vec<BlockKey> = blocks(0..40).iter().map(|block| *block.key()).collect();
    let error = reader.contains(&keys).unwrap_err();
    assert!(error.to_string().contains("index-"), "{error}");
}

/// A journal is the store: one of another store is refused, not mixed in.
#[test]
fn files_of_another_store_are_refused() {
    let (one, other) = (folder_in_memory(), folder_in_memory());
    for folder in [&one, &other] {
        open_small(folder.path()).put(&blocks(0..20)).unwrap();
    }
    let run = names(one.path(), "index-").remove(0);
    fs::copy(
        other.path().join(manifest::FILE_NAME),
        one.path().join(manifest::FILE_NAME),
    )
    .unwrap();
    let error = EmbeddedStore::open(one.path(), Access::ReadOnly).unwrap_err();
    assert!(error.to_string().contains("another store"), "{error}");
    fs::copy(other.path().join(&run), one.path().join(&run)).unwrap();
    let store = open_small(one.path());
    assert_eq!(store.stats().unwrap().blocks, 20);
    assert_eq!(store.check(block(7).key()).unwrap(), Some(true));
}

//! Readers next to a writer, as another process would be: each has files of its own.

use super::*;

#[test]
fn a_reader_sees_what_is_put_later() {
    let folder = folder_in_memory();
    let path = folder.path().join("later");
    let early = EmbeddedStore::open(&path, Access::ReadOnly).unwrap();
    assert_eq!(early.get(block(1).key()).unwrap(), None);
    assert_eq!(early.contains(&[*block(1).key()]).unwrap(), [false]);
    let writer = open(&path);
    let reader = EmbeddedStore::open(&path, Access::ReadOnly).unwrap();
    for seed in 0..50 {
        let before = reader.generation().unwrap();
        writer.put(&[block(seed)]).unwrap();
        assert_ne!(reader.generation().unwrap(), before);
        for store in [&early, &reader] {
            let (_, payload) = store.get(block(seed).key()).unwrap().unwrap();
            assert_eq!(&payload, block(seed).payload());
        }
    }
    let end = reader.info(block(49).key()).unwrap().unwrap().cursor;
    assert_eq!(reader.scan(Some(&end), Direction::Forward, 5).unwrap(), []);
    writer.put(&[block(50)]).unwrap();
    let next = reader.scan(Some(&end), Direction::Forward, 5).unwrap();
    assert_eq!(next[0].key, *block(50).key());
    writer.remove(&[*block(3).key()]).unwrap();
    assert_eq!(early.get(block(3).key()).unwrap(), None);
    assert_eq!(reader.contains(&[*block(3).key()]).unwrap(), [false]);
}

#[test]
fn readers_follow_through_merges() {
    let folder = folder_in_memory();
    let writer = open_small(folder.path());
    let done = AtomicU64::new(0);
    let readers = std::thread::scope(|scope| {
        let following = [false, true].map(|lazy| {
            let done = &done;
            let path = folder.path();
            scope.spawn(move || {
                let reader = EmbeddedStore::open(path, Access::ReadOnly).unwrap();
                loop {
                    let ready = done.load(Ordering::Acquire);
                    for seed in (0..ready as u32).step_by(if lazy { 97 } else { 7 }) {
                        let found = reader.get(block(seed).key()).unwrap();
                        if seed % 11 == 0 {
                            assert_eq!(found, None);
                        } else {
                            assert_eq!(&found.unwrap().1, block(seed).payload());
                        }
                    }
                    if ready == 600 {
                        return reader;
                    }
                }
            })
        });
        for seed in (0..600).step_by(10) {
            writer.put(&blocks(seed..seed + 10)).unwrap();
            for gone in (seed..seed + 10).filter(|seed| seed % 11 == 0) {
                writer.remove(&[*block(gone).key()]).unwrap();
            }
            done.store(u64::from(seed) + 10, Ordering::Release);
        }
        following.map(|reader| reader.join().unwrap())
    });
    // A reader looks for runs when there is something new, so not for those that came since.
    writer.put(&blocks(600..601)).unwrap();
    for reader in readers {
        assert!(reader.get(block(600).key()).unwrap().is_some());
        assert!(reader.state().tail.len() < 20, "the table is let go");
    }
}

/// Removal gives room back while others read there: they see the block or none, never damage.
#[test]
fn no_reader_takes_a_removal_for_damage() {
    let folder = folder_in_memory();
    let writer = open(folder.path());
    let reader = EmbeddedStore::open(folder.path(), Access::ReadOnly).unwrap();
    let large: Vec<VerifiedBlock> = (0..100u8)
        .map(|n| VerifiedBlock::new(vec![n; 40_000].into(), 0).unwrap())
        .collect();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for store in [&writer, &reader] {
            let (large, done) = (&large, &done);
            scope.spawn(move || {
                while done.load(Ordering::Acquire) == 0 {
                    for block in large {
                        if let Some((_, payload)) = store.get(block.key()).unwrap() {
                            assert_eq!(&payload, block.payload());
                        }
                    }
                    let infos = store.scan(None, Direction::Forward, 200).unwrap();
                    for (info, payload) in infos.iter().zip(store.read(&infos)) {
                        if let Some(payload) = payload.unwrap() {
                            assert_eq!(payload.len(), info.size as usize);
                        }
                    }
                }
            });
        }
        for _ in 0..5 {
            writer.put(&large).unwrap();
            for some in large.chunks(9) {
                let keys: Vec<BlockKey> = some.iter().map(|block| *block.key()).collect();
                writer.remove(&keys).unwrap();
            }
        }
        done.store(1, Ordering::Release);
    });
}

/// A record that is only partly there is not there yet.
#[test]
fn a_reader_waits_for_the_whole_record() {
    let folder = folder_in_memory();
    let writer = open(folder.path());
    writer.put(&blocks(0..3)).unwrap();
    drop(writer);
    let path = folder.path().join(journal::FILE_NAME);
    let whole = fs::read(&path).unwrap();
    let reader = EmbeddedStore::open(folder.path(), Access::ReadOnly);
    assert_eq!(reader.unwrap().stats().unwrap().blocks, 3);
    for cut in 1..64 {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let reader = EmbeddedStore::open(folder.path(), Access::ReadOnly).unwrap();
        assert_eq!(reader.stats().unwrap().blocks, 2);
        fs::write(&path, &whole).unwrap();
        assert_eq!(reader.stats().unwrap().blocks, 3);
    }
}

/// After a recovery that cut records off, a reader that had seen them forgets them.
#[test]
fn a_reader_follows_a_cut() {
    let folder = folder_in_memory();
    let path = folder.path();
    let writer = open(path);
    writer.put(&blocks(0..3)).unwrap();
    writer.flush().unwrap();
    writer.put(&blocks(3..6)).unwrap();
    let reader = EmbeddedStore::open(path, Access::ReadOnly).unwrap();
    assert_eq!(reader.stats().unwrap().blocks, 6);
    drop(writer);
    // The payload of block 4 did not reach the disk before the power went.
    let place = reader.find(reader.journal.get().unwrap(), block(4).key());
    let place = place.unwrap().unwrap().place;
    let segment = reader.segments.path(place.segment);
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..place.end() as usize - 3]).unwrap();
    let writer = open(path);
    assert_eq!(writer.stats().unwrap().blocks, 4);
    // As many new ones as make the journal as long as it was.
    writer.put(&blocks(10..13)).unwrap();
    assert_eq!(
        scan_all(&reader, Direction::Forward, 100),
        scan_all(&writer, Direction::Forward, 100)
    );
    assert_eq!(reader.get(block(5).key()).unwrap(), None);
    assert!(reader.get(block(12).key()).unwrap().is_some());
}

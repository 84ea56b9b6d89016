//! A disk that takes no more.

use super::*;

/// Whatever the room left, in segments or in the journal: the error says so, what was there stays,
/// and with room again the rest goes in.
#[test]
fn a_full_disk_loses_nothing() {
    let bytes: usize = blocks(10..30)
        .iter()
        .map(|block| block.payload().len() + 64)
        .sum();
    let rooms = (0..bytes as u64).step_by(2711).map(|room| (room, u64::MAX));
    let journal_rooms = (0..20 * 64).step_by(50).map(|room| (u64::MAX, room));
    for (segments, journal) in rooms.chain(journal_rooms) {
        let folder = folder_in_memory();
        let store = EmbeddedStore::open_with(
            folder.path().into(),
            Access::ReadWrite,
            Limits {
                segment_bytes: 20_000,
                ..Limits::default()
            },
        )
        .unwrap();
        store.put(&blocks(0..10)).unwrap();
        store.flush().unwrap();
        let reader = EmbeddedStore::open(folder.path(), Access::ReadOnly).unwrap();
        store.segments.room.set(segments);
        store.journal.get().unwrap().room.set(journal);
        let error = store.put(&blocks(10..30)).unwrap_err();
        assert!(error.is_full(), "{error}");
        for store in [&store, &reader] {
            let infos = scan_all(store, Direction::Forward, 100);
            assert!((10..30).contains(&infos.len()));
            for info in &infos {
                assert_eq!(store.check(&info.key).unwrap(), Some(true));
            }
            assert_eq!(store.stats().unwrap().blocks, infos.len() as u64);
        }
        let disk: u64 = names(folder.path(), "blocks-")
            .iter()
            .map(|name| fs::metadata(folder.path().join(name)).unwrap().len())
            .sum();
        let stats = store.stats().unwrap();
        assert_eq!(
            disk,
            stats.payload_bytes + 64 * stats.blocks,
            "no room is lost"
        );

        store.segments.room.set(u64::MAX);
        store.journal.get().unwrap().room.set(u64::MAX);
        assert_eq!(store.put(&blocks(10..30)).unwrap(), 30 - stats.blocks);
        store.flush().unwrap();
        drop(store);
        let store = open(folder.path());
        for block in blocks(0..30) {
            assert_eq!(store.check(block.key()).unwrap(), Some(true));
            assert_eq!(reader.check(block.key()).unwrap(), Some(true));
        }
    }
}

#[test]
fn a_removal_on_a_full_disk_can_be_done_again() {
    for room in (0..8 * 64).step_by(9) {
        let folder = folder_in_memory();
        let store = open(folder.path());
        store.put(&blocks(0..10)).unwrap();
        store.flush().unwrap();
        store.journal.get().unwrap().room.set(room);
        let keys: Vec<BlockKey> = blocks(2..7).iter().map(|block| *block.key()).collect();
        let first = store.remove(&keys);
        assert_eq!(first.is_ok(), room >= 6 * 64, "five removals and a commit");
        store.journal.get().unwrap().room.set(u64::MAX);
        store.remove(&keys).unwrap();
        store.flush().unwrap();
        assert_eq!(scan_all(&store, Direction::Forward, 100).len(), 5);
        drop(store);
        let store = open(folder.path());
        assert_eq!(scan_all(&store, Direction::Forward, 100).len(), 5);
        assert_eq!(store.stats().unwrap().blocks, 5);
    }
}

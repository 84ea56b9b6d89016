use super::*;
use crate::store::conformance;

fn small() -> Limits {
    Limits {
        segment_bytes: 20_000,
        tail_records: 7,
        unflushed_bytes: 30_000,
    }
}

#[test]
fn conforms() {
    conformance::all(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), Access::ReadWrite).unwrap();
        (folder, store)
    });
}

#[test]
fn conforms_with_many_small_files() {
    conformance::all(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder");
        let store = EmbeddedStore::open_with(path, Access::ReadWrite, small()).unwrap();
        (folder, store)
    });
}

//! Packing the recorded trees gives upstream's chunks, keys and entries.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bcm_core::digest::Md5;
use bcm_core::progress::NoProgress;
use tokio_util::sync::CancellationToken;

use super::fixtures::{Users, blocks, open, recorded};
use super::unpack::{can_make_devices, unpack_to};
use crate::flist::{
    Accounts, Backend, Flist, Kind, PackError, PackOptions, PackReport, SpecialType, Step,
    Unpackable, pack,
};
use crate::store::memory::MemoryStore;
use crate::store::{BlockStore, Direction};

fn options() -> PackOptions {
    PackOptions {
        backend: Some(Backend {
            namespace: "default".to_owned(),
            host: "hub.example.test".to_owned(),
            port: 9900,
            password: None,
        }),
        accounts: Accounts::parse("root:x:0:0:root:/root:/bin/sh", "root:x:0:"),
        parallel: 3.try_into().unwrap(),
        timestamp: 1,
        ..PackOptions::default()
    }
}

fn pack_to(
    source: &Path,
    output: &Path,
    store: &dyn BlockStore,
    options: &PackOptions,
) -> Result<PackReport, PackError> {
    let cancel = CancellationToken::new();
    pack(source, output, store, options, &NoProgress, &cancel)
}

fn keys(store: &MemoryStore) -> BTreeSet<String> {
    let blocks = store.scan(None, Direction::Forward, usize::MAX).unwrap();
    blocks.iter().map(|info| info.key.to_string()).collect()
}

fn steps(flist: &Flist) -> Vec<Step> {
    flist.walk().map(Result::unwrap).collect()
}

#[test]
fn repacked_trees_have_upstreams_chunks_and_entries() {
    let (users, store) = (Users::unpack(), blocks());
    let is_root = rustix::process::geteuid().is_root();
    for (name, recorded) in recorded() {
        let original = users.open(&name);
        let tree = tempfile::tempdir().unwrap();
        unpack_to(&original, &store, tree.path()).unwrap();
        let output = users.path("repacked.flist");
        let packed = MemoryStore::default();
        let report = pack_to(tree.path(), &output, &packed, &options()).unwrap();
        let again = open(&output, users.scratch()).unwrap();

        let expected: BTreeSet<String> = recorded.chunks.into_iter().collect();
        assert_eq!(keys(&packed), expected, "{name}");
        assert_eq!(report.new_blocks, expected.len() as u64);
        assert_eq!(report.block_references, recorded.chunk_references as u64);
        assert!(report.skipped.is_empty());
        assert_eq!(report.md5, Md5::of(&fs::read(&output).unwrap()));
        assert_eq!(again.metadata(), original.metadata());

        let mut expected = steps(&original);
        if !can_make_devices() {
            expected.retain(|step| match step {
                Step::Entry { inode, .. } | Step::Leave { inode, .. } => {
                    !matches!(&inode.kind, Kind::Special(s) if s.data.contains(&b','))
                }
            });
        }
        let found = steps(&again);
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.into_iter().zip(expected) {
            let (
                Step::Entry {
                    path: at,
                    inode: mut found,
                }
                | Step::Leave {
                    path: at,
                    inode: mut found,
                },
                Step::Entry {
                    path,
                    inode: expected,
                }
                | Step::Leave {
                    path,
                    inode: expected,
                },
            ) = (found, expected);
            assert_eq!(at, path);
            if !is_root {
                let mode = |flist: &Flist, inode| flist.acl(inode, &path).unwrap().mode;
                assert_eq!(mode(&again, &found), mode(&original, &expected));
                found.acl_key.clone_from(&expected.acl_key);
            }
            // Upstream takes it from the machine that packs.
            found.created = expected.created;
            // And it calls every special file a socket.
            if let (Kind::Special(found), Kind::Special(expected)) =
                (&mut found.kind, &expected.kind)
            {
                assert_ne!(found.declared, SpecialType::Socket);
                assert_eq!(expected.declared, SpecialType::Socket);
                found.declared = SpecialType::Socket;
            }
            assert_eq!(found, expected, "{path:?}");
        }
    }
}

/// The database's rows, with what is not in the tree: directories' own fields.
fn directories(flist: &Flist) -> Vec<(String, crate::flist::Directory)> {
    let mut found = Vec::new();
    flist
        .database()
        .for_each_entry(|key, value| {
            if key.len() == 32 {
                let mut directory = crate::flist::message::read_directory(value, 4).unwrap();
                directory.contents.clear();
                directory.created = 0;
                found.push((key.to_owned(), directory));
            }
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn repacked_directories_have_upstreams_keys_and_fields() {
    let (users, store) = (Users::unpack(), blocks());
    for name in recorded().keys() {
        let original = users.open(name);
        let tree = tempfile::tempdir().unwrap();
        unpack_to(&original, &store, tree.path()).unwrap();
        let output = users.path("repacked.flist");
        pack_to(tree.path(), &output, &MemoryStore::default(), &options()).unwrap();
        let mut found = directories(&open(&output, users.scratch()).unwrap());
        let mut expected = directories(&original);
        if !rustix::process::geteuid().is_root() {
            for (_, directory) in found.iter_mut().chain(&mut expected) {
                directory.acl_key.clear();
            }
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_same_tree_makes_the_same_bytes_wherever_it_is() {
    let (users, store) = (Users::unpack(), blocks());
    let flist = users.open("tf-bootable/ubuntu-tiny.flist");
    let mut results = Vec::new();
    for parallel in [1, 4] {
        let tree = tempfile::tempdir().unwrap();
        unpack_to(&flist, &store, tree.path()).unwrap();
        fs::set_permissions(tree.path(), fs::Permissions::from_mode(0o710)).unwrap();
        let output = users.path("out.flist");
        let options = PackOptions {
            parallel: parallel.try_into().unwrap(),
            timestamp: parallel as u32,
            ..options()
        };
        pack_to(tree.path(), &output, &MemoryStore::default(), &options).unwrap();
        results.push(fs::read(output).unwrap());
    }
    assert_eq!(results[0], results[1]);
}

#[test]
fn many_folders_and_a_large_file_keep_their_places() {
    let tree = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for folder in 0..40 {
        let path = tree.path().join(format!("d{folder:02}/e"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..(folder % 7) {
            fs::write(path.join(format!("f{file}")), format!("{folder}/{file}")).unwrap();
        }
    }
    // More chunks than one job has when it is unpacked, and a short one at the end.
    let large: Vec<u8> = (0..20 * 512 * 1024 + 17_u32)
        .map(|n| (n / 1000) as u8)
        .collect();
    fs::write(tree.path().join("large"), &large).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("x.flist");
    let store = MemoryStore::default();
    let report = pack_to(tree.path(), &output, &store, &options()).unwrap();
    assert_eq!(report.tree.directories, 80);
    let flist = open(&output, folder.path()).unwrap();
    let dest = folder.path().join("dest");
    let unpacked = unpack_to(&flist, &store, &dest).unwrap();
    assert_eq!(
        (unpacked.tree.files, unpacked.tree.bytes),
        (report.tree.files, report.tree.bytes)
    );
    for step in steps(&flist) {
        if let Step::Entry { path, inode } = step
            && let Kind::File(_) = inode.kind
        {
            let path = path.strip_prefix("/").unwrap().to_owned();
            assert_eq!(
                fs::read(dest.join(&path)).unwrap(),
                fs::read(tree.path().join(&path)).unwrap()
            );
            expected.push(path);
        }
    }
    assert_eq!(expected.len() as u64, report.tree.files);
}

#[test]
fn what_cannot_be_packed_fails_or_is_named() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("good"), "x").unwrap();
    let latin = std::ffi::OsStr::from_bytes(b"na\xefve");
    fs::write(tree.path().join(latin), "y").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("x.flist");
    let store = MemoryStore::default();
    let error = pack_to(tree.path(), &output, &store, &options()).unwrap_err();
    assert!(matches!(error, PackError::NotUtf8 { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
    let options = PackOptions {
        unpackable: Unpackable::Skip,
        ..options()
    };
    let report = pack_to(tree.path(), &output, &store, &options).unwrap();
    assert_eq!((report.tree.files, report.skipped.count), (1, 2));
    let reasons: Vec<&str> = report
        .skipped
        .first
        .iter()
        .map(|s| s.reason.as_str())
        .collect();
    assert!(
        reasons.iter().any(|reason| reason.contains("UTF-8")),
        "{reasons:?}"
    );
    assert!(
        reasons.iter().any(|reason| reason.contains("socket")),
        "{reasons:?}"
    );
}

#[test]
fn the_flist_itself_is_not_packed() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("file"), "x").unwrap();
    let output = tree.path().join("x.flist");
    let store = MemoryStore::default();
    let first = pack_to(tree.path(), &output, &store, &options()).unwrap();
    let second = pack_to(tree.path(), &output, &store, &options()).unwrap();
    assert_eq!((first.tree.files, second.tree.files), (1, 1));
    assert!(first.skipped.is_empty() && second.skipped.is_empty());
    assert_eq!(first.md5, second.md5);
    let mut references = 0;
    open(&output, tree.path())
        .unwrap()
        .for_each_block(&mut |_| {
            references += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(references, 1);
}

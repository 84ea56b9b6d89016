//! Unpacking the recorded flists gives the recorded trees.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use bcm_core::digest::Sha256;
use bcm_core::progress::NoProgress;
use tokio_util::sync::CancellationToken;

use super::fixtures::{SourceFile, Users, blocks, recorded};
use crate::flist::{Flist, Kind, Owners, Step, UnpackError, UnpackOptions, UnpackReport, unpack};
use crate::store::BlockStore;

pub(super) fn unpack_to(
    flist: &Flist,
    store: &dyn BlockStore,
    dest: &Path,
) -> Result<UnpackReport, UnpackError> {
    let options = UnpackOptions {
        parallel: 3.try_into().unwrap(),
        ..UnpackOptions::default()
    };
    unpack(
        flist,
        store,
        dest,
        &options,
        &NoProgress,
        &CancellationToken::new(),
    )
}

/// Whether this process may make device files: root, and not in a container that forbids it.
pub(super) fn can_make_devices() -> bool {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("null");
    mknodat(
        CWD,
        path,
        FileType::CharacterDevice,
        Mode::RUSR,
        makedev(1, 3),
    )
    .is_ok()
}

/// What is in `folder`, in the recording's terms.
fn tree(folder: &Path) -> BTreeMap<String, SourceFile> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = format!("/{}", path.strip_prefix(folder).unwrap().to_str().unwrap());
            let kind = metadata.file_type();
            let mut file = SourceFile {
                path: name.clone(),
                mode: format!("0o{:o}", metadata.mode() & 0o7777),
                kind: String::new(),
                size: None,
                sha256: None,
                target: None,
                rdev: None,
            };
            file.kind = if kind.is_dir() {
                folders.push(path);
                "dir"
            } else if kind.is_symlink() {
                let target = fs::read_link(path).unwrap();
                file.target = Some(target.to_str().unwrap().to_owned());
                "symlink"
            } else if kind.is_fifo() {
                "fifo"
            } else if kind.is_file() {
                file.size = Some(metadata.len());
                file.sha256 = Some(Sha256::of(&fs::read(path).unwrap()).to_string());
                "file"
            } else {
                let (major, minor) = (
                    rustix::fs::major(metadata.rdev()),
                    rustix::fs::minor(metadata.rdev()),
                );
                file.rdev = Some(format!("{major},{minor}"));
                if kind.is_block_device() {
                    "block"
                } else {
                    "char"
                }
            }
            .to_owned();
            found.insert(name, file);
        }
    }
    found
}

#[test]
fn every_recorded_flist_unpacks_to_the_recorded_tree() {
    let (users, store) = (Users::unpack(), blocks());
    for (name, recorded) in recorded() {
        let flist = users.open(&name);
        let dest = tempfile::tempdir().unwrap();
        let report = unpack_to(&flist, &store, dest.path()).unwrap();
        let mut expected: BTreeMap<String, SourceFile> = recorded
            .files
            .into_iter()
            .map(|file| (file.path.clone(), file))
            .collect();
        if !can_make_devices() {
            // They are named, and only they.
            for failed in &report.failed.first {
                let file = expected.remove(failed.path.to_str().unwrap()).unwrap();
                assert!(file.rdev.is_some(), "{failed:?}");
            }
        }
        assert!(expected.values().all(|file| file.rdev.is_none()) || report.failed.is_empty());
        assert_eq!(tree(dest.path()), expected, "{name}");
        let files = expected.values().filter(|file| file.kind == "file");
        assert_eq!(report.tree.files, files.count() as u64);
    }
}

#[test]
fn times_and_owners_are_restored() {
    let (users, store) = (Users::unpack(), blocks());
    let flist = users.open("tf-bootable/ubuntu-tiny.flist");
    let dest = tempfile::tempdir().unwrap();
    unpack_to(&flist, &store, dest.path()).unwrap();
    let me = fs::symlink_metadata(dest.path()).unwrap();
    let mut kinds = [0; 3];
    for step in flist.walk() {
        let Step::Entry { path, inode } = step.unwrap() else {
            continue;
        };
        match inode.kind {
            Kind::Directory(_) => kinds[0] += 1,
            Kind::File(_) => kinds[1] += 1,
            Kind::Link(_) => kinds[2] += 1,
            Kind::Special(_) => continue,
        }
        let path = dest.path().join(path.strip_prefix("/").unwrap());
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.mtime(), i64::from(inode.modified), "{path:?}");
        // Root restores root; anybody else keeps what they unpack.
        assert_eq!((metadata.uid(), metadata.gid()), (me.uid(), me.gid()));
    }
    assert_eq!(kinds, [16, 12, 3]);
}

#[test]
fn a_missing_and_a_wrong_block_cost_their_files_only() {
    let (users, store) = (Users::unpack(), blocks());
    let flist = users.open("tf-bootable/ubuntu-tiny.flist");
    // The block of /bin/hello, and one of two of /var/random-600k.
    let missing = "f0af63f3cfd67f592fc3cb4426833f47".parse().unwrap();
    let mut of_random = None;
    for step in flist.walk() {
        if let Step::Entry { path, inode } = step.unwrap()
            && path == Path::new("/var/random-600k")
            && let Kind::File(chunks) = inode.kind
        {
            of_random = Some(chunks[1].hash);
        }
    }
    assert_eq!(store.remove(&[missing, of_random.unwrap()]).unwrap(), 2);
    let dest = tempfile::tempdir().unwrap();
    let report = unpack_to(&flist, &store, dest.path()).unwrap();
    let named: Vec<String> = report
        .failed
        .first
        .iter()
        .filter(|failed| failed.reason.contains("not in the store"))
        .map(|failed| failed.path.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(named.len(), 2, "{report:?}");
    for path in ["bin/hello", "var/random-600k"] {
        assert!(named.contains(&format!("/{path}")));
        assert!(!dest.path().join(path).exists(), "half of {path} is there");
    }
    assert!(dest.path().join("var/text-1500k").exists());
    assert_eq!(report.tree.files, 10);
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let (users, store) = (Users::unpack(), blocks());
    let flist = users.open("tf-zos/zos-production-v3.14.1.flist");
    let dest = tempfile::tempdir().unwrap();
    fs::write(dest.path().join("mine"), "x").unwrap();
    let error = unpack_to(&flist, &store, dest.path()).unwrap_err();
    assert!(matches!(error, UnpackError::NotEmpty { .. }), "{error}");
    assert_eq!(fs::read_dir(dest.path()).unwrap().count(), 1);
}

#[test]
fn a_cancelled_unpack_ends() {
    let (users, store) = (Users::unpack(), blocks());
    let flist = users.open("tf-bootable/ubuntu-tiny.flist");
    let dest = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let options = UnpackOptions {
        owners: Owners::Ignore,
        ..UnpackOptions::default()
    };
    let error = unpack(&flist, &store, dest.path(), &options, &NoProgress, &cancel).unwrap_err();
    assert!(matches!(error, UnpackError::Cancelled), "{error}");
}

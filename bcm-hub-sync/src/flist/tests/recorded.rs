//! Reading the recorded flists gives what the recording says of them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::ControlFlow;

use bcm_core::digest::Md5;
use serde_json::Value;

use super::fixtures::{ORIGIN, Users, recorded};
use crate::flist::{Backend, Device, Kind, Step};

#[test]
fn every_recorded_flist_has_the_recorded_blocks_and_metadata() {
    let users = Users::unpack();
    for (name, recorded) in recorded() {
        let md5 = Md5::of_reader(File::open(users.path(&name)).unwrap()).unwrap();
        assert_eq!(md5.to_string(), recorded.md5, "{name}");
        let flist = users.open(&name);
        let mut keys = Vec::new();
        flist
            .for_each_block(&mut |key| {
                keys.push(key.to_string());
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(keys.len(), recorded.chunk_references, "{name}");
        let expected: BTreeSet<String> = recorded.chunks.into_iter().collect();
        assert_eq!(
            keys.into_iter().collect::<BTreeSet<_>>(),
            expected,
            "{name}"
        );
        let backend = flist.backend().unwrap();
        assert_eq!(
            backend,
            Some(Backend {
                namespace: "default".to_owned(),
                host: "hub.example.test".to_owned(),
                port: 9900,
                password: None,
            })
        );
    }
}

#[test]
fn every_recorded_flist_has_the_recorded_tree() {
    let users = Users::unpack();
    for (name, recorded) in recorded() {
        let flist = users.open(&name);
        let mut seen = 0;
        for step in flist.walk() {
            let Step::Entry { path, inode } = step.unwrap() else {
                continue;
            };
            seen += 1;
            let path = path.to_str().unwrap();
            let expected = recorded
                .files
                .iter()
                .find(|file| file.path == path)
                .unwrap();
            let acl = flist.acl(&inode, path.as_ref()).unwrap();
            assert_eq!(format!("0o{:o}", acl.mode), expected.mode, "{path}");
            let (kind, detail) = match &inode.kind {
                Kind::Directory(_) => ("dir", None),
                Kind::File(_) => ("file", None),
                Kind::Link(target) => ("symlink", target.to_str().map(str::to_owned)),
                Kind::Special(special) => match special.device(&inode.name).unwrap() {
                    Device::Fifo => ("fifo", None),
                    Device::Block { major, minor } => ("block", Some(format!("{major},{minor}"))),
                    Device::Character { major, minor } => {
                        ("char", Some(format!("{major},{minor}")))
                    }
                },
            };
            assert_eq!(kind, expected.kind, "{path}");
            assert_eq!(
                detail,
                expected.target.clone().or(expected.rdev.clone()),
                "{path}"
            );
            if let Some(size) = expected.size {
                assert_eq!(inode.size, size, "{path}");
            }
        }
        assert_eq!(seen, recorded.files.len(), "{name}");
    }
}

#[test]
fn contents_equal_the_recorded_answers() {
    let users = Users::unpack();
    let index: Value =
        serde_json::from_reader(File::open(format!("{ORIGIN}/http/index.json")).unwrap()).unwrap();
    let mut compared = 0;
    for request in index.as_array().unwrap() {
        let path = request["path"].as_str().unwrap();
        let Some(name) = path.strip_prefix("/api/flist/") else {
            continue;
        };
        let body = fs::read_to_string(format!(
            "{ORIGIN}/http/{}",
            request["body"].as_str().unwrap()
        ))
        .unwrap();
        if !body.starts_with("{\"content\"") {
            continue;
        }
        let contents = users.open(name).contents().unwrap();
        let expected: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(serde_json::to_value(&contents).unwrap(), expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 6);
}

#[test]
fn a_summary_agrees_with_the_contents() {
    let users = Users::unpack();
    for name in recorded().keys() {
        let flist = users.open(name);
        let (summary, contents) = (flist.inspect().unwrap(), flist.contents().unwrap());
        assert_eq!(
            (
                summary.tree.files,
                summary.tree.links,
                summary.tree.directories
            ),
            (contents.regular, contents.symlink, contents.directory)
        );
        assert_eq!(
            (summary.tree.specials, summary.tree.bytes),
            (contents.special, contents.fullsize)
        );
    }
}

#[test]
fn nothing_is_left_in_the_scratch_folder() {
    let users = Users::unpack();
    let scratch = tempfile::tempdir().unwrap();
    let path = users.path("tf-bootable/ubuntu-tiny.flist");
    let flist = super::fixtures::open(&path, scratch.path()).unwrap();
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    assert_eq!(flist.inspect().unwrap().tree.files, 12);
}

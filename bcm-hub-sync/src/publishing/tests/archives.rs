//! Archives of strangers.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tar::{Builder, EntryType, Header};

use super::super::archive::{ArchiveError, ArchiveLimits, unpack};
use super::*;
use crate::flist::{Flist, Step};

/// A member as it is: nothing of it is checked here.
struct Raw<'a>(&'a str, EntryType, &'a str, &'a [u8]);

fn archive(members: &[Raw<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for Raw(path, kind, link, content) in members {
        let mut header = Header::new_gnu();
        let raw = header.as_mut_bytes();
        raw[..path.len()].copy_from_slice(path.as_bytes());
        raw[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o4755);
        header.set_uid(1234);
        header.set_gid(5);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn unpacked(
    bytes: &[u8],
    limits: &ArchiveLimits,
) -> (
    tempfile::TempDir,
    Result<crate::flist::Attributes, ArchiveError>,
) {
    let folder = tempfile::tempdir().unwrap();
    let (file, into) = (folder.path().join("a.tar"), folder.path().join("into"));
    fs::write(&file, bytes).unwrap();
    fs::create_dir(&into).unwrap();
    let result = unpack(&file, &into, limits, &CancellationToken::new());
    (folder, result)
}

fn outside(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn paths_and_links_that_lead_out_are_refused_by_name() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let long = "x".repeat(300);
    for (members, why) in [
        (vec![Raw("../evil", Regular, "", b"x")], "has .. in it"),
        (vec![Raw("a/../../evil", Regular, "", b"x")], "has .. in it"),
        (vec![Raw("/etc/evil", Regular, "", b"x")], "is absolute"),
        (
            vec![Raw("l", Symlink, "../x", b"")],
            "links out of the tree",
        ),
        (
            vec![Raw("a/l", Symlink, "b/../../../x", b"")],
            "links out of the tree",
        ),
        (
            vec![Raw("l", Symlink, "/../x", b"")],
            "links out of the tree",
        ),
        (vec![Raw("l", Symlink, "", b"")], "a link to nothing"),
        (vec![Raw("h", Link, "../../etc/passwd", b"")], "hard link"),
        (vec![Raw("h", Link, "/etc/passwd", b"")], "hard link"),
        (vec![Raw("h", Link, "not-here", b"")], "hard link"),
        (
            vec![
                Raw("l", Symlink, "/etc/passwd", b""),
                Raw("h", Link, "l", b""),
            ],
            "hard link",
        ),
        (
            vec![
                Raw("etc", Symlink, "/etc", b""),
                Raw("etc/evil", Regular, "", b"x"),
            ],
            "goes through what is no folder",
        ),
        (
            vec![
                Raw("etc", Symlink, "/etc", b""),
                Raw("h", Regular, "", b""),
                Raw("h2", Link, "etc/passwd", b""),
            ],
            "hard link",
        ),
        (
            vec![Raw("d", Directory, "", b""), Raw("d", Symlink, "/etc", b"")],
            "a folder of that name",
        ),
        (vec![Raw("dev/sda", Block, "", b"")], "is a device"),
        (vec![Raw("dev/null", Char, "", b"")], "is a device"),
        (vec![Raw("p", Fifo, "", b"")], "is a named pipe"),
        (
            vec![Raw("s", EntryType::GNUSparse, "", b"")],
            "is a sparse file",
        ),
        (
            vec![Raw("s", EntryType::new(b'9'), "", b"")],
            "a kind that is not known",
        ),
        (vec![Raw("./", Regular, "", b"")], "is empty"),
        (
            vec![
                Raw("L", EntryType::GNULongName, "", long.as_bytes()),
                Raw("x", Regular, "", b""),
            ],
            "longer than 255 bytes",
        ),
        (
            vec![
                Raw("L", EntryType::GNULongName, "", b"a/../../x\0"),
                Raw("x", Regular, "", b""),
            ],
            "has .. in it",
        ),
        (
            vec![
                Raw("p", EntryType::XHeader, "", b"14 path=/evil\n"),
                Raw("x", Regular, "", b""),
            ],
            "is absolute",
        ),
    ] {
        let (folder, result) = unpacked(&archive(&members), &ArchiveLimits::default());
        let error = result.unwrap_err();
        assert!(matches!(error, ArchiveError::Member { .. }), "{error}");
        assert!(error.to_string().contains(why), "{why}: {error}");
        assert!(error.is_refusal());
        assert_eq!(outside(folder.path()), 2);
    }
}

#[test]
fn what_asks_for_too_much_is_refused() {
    let small = ArchiveLimits {
        unpacked_bytes: 4096,
        members: 3,
        header_bytes: 100,
        depth: 3,
    };
    let zeros = vec![0; 100_000];
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&archive(&[Raw("zeros", EntryType::Regular, "", &zeros)]))
        .unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1000);
    let many: Vec<String> = (0..5).map(|n| n.to_string()).collect();
    let many: Vec<Raw<'_>> = many
        .iter()
        .map(|n| Raw(n, EntryType::Directory, "", b""))
        .collect();
    let long = vec![b'x'; 1000];
    for (bytes, why) in [
        (bomb, "unpacks to exceeds 4096"),
        (archive(&many), "its members exceeds 3"),
        (
            archive(&[Raw("L", EntryType::GNULongName, "", &long)]),
            "path exceeds 100",
        ),
        (
            archive(&[Raw("a/b/c/d", EntryType::Directory, "", b"")]),
            "too deep",
        ),
        (b"no archive".repeat(100), "damaged"),
        (b"\x1f\x8bno gzip".to_vec(), "damaged"),
    ] {
        let (_folder, result) = unpacked(&bytes, &small);
        let error = result.unwrap_err();
        assert!(
            error.is_refusal() && error.to_string().contains(why),
            "{why}: {error}"
        );
    }
}

#[test]
fn an_archive_is_packed_with_its_owners_modes_and_times() {
    let hub = Hub::new();
    let members = [
        Raw("./", EntryType::Directory, "", b""),
        Raw("bin/sh", EntryType::Regular, "", b"old"),
        Raw("bin/sh", EntryType::Regular, "", b"new"),
        Raw("bin/bash", EntryType::Link, "bin/sh", b""),
        Raw("lib", EntryType::Symlink, "usr/lib", b""),
        Raw("etc/mtab", EntryType::Symlink, "/proc/mounts", b""),
    ];
    let (folder, attributes) = unpacked(&archive(&members), &ArchiveLimits::default());
    let into = folder.path().join("into");
    let mut settings = settings(false);
    settings.pack.attributes = Some(Arc::new(attributes.unwrap()));
    let cancel = CancellationToken::new();
    let published = hub.session().publish(
        &place("a/a.flist"),
        Content::Folder(&into),
        &*hub.store,
        &settings,
        &NoProgress,
        &cancel,
    );
    let files = published.unwrap().files;
    assert_eq!((files.regular, files.symlink, files.directory), (2, 2, 2));
    let path = hub.layout.users().join("a/a.flist");
    let flist = Flist::open(&path, &Limits::default(), hub.folder.path()).unwrap();
    for step in flist.walk() {
        let Step::Entry { path, inode } = step.unwrap() else {
            continue;
        };
        let acl = flist.acl(&inode, &path).unwrap();
        let said = (acl.uid, acl.gid, acl.mode, inode.modified);
        match path.to_str().unwrap() {
            // Not members of their own.
            "/bin" | "/etc" => assert_eq!(said, (0, 0, 0o755, 0)),
            _ => assert_eq!(said, (1234, 5, 0o4755, 1_700_000_000), "{path:?}"),
        }
        if path.ends_with("bash") {
            assert_eq!(inode.size, 3);
        }
    }
    hub.assert_sound();
}

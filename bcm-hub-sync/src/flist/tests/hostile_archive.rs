//! Files that are no flists, cut-off and damaged ones, and gzip and tar bombs.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::fixtures::{Users, open, recorded};
use crate::flist::{Flist, FlistError, Limits, archive};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn refusal(bytes: &[u8], limits: &Limits) -> FlistError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.flist");
    fs::write(&path, bytes).unwrap();
    let error = Flist::open(&path, limits, folder.path()).unwrap_err();
    assert!(error.is_refusal(), "{error}");
    assert!(error.to_string().contains("x.flist"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    error
}

#[test]
fn what_is_no_flist_is_refused_by_name() {
    let limits = Limits::default();
    for (bytes, expected) in [
        (b"<html>404</html>".to_vec(), "an HTML page"),
        (vec![], "an empty file"),
        (tar(&[("flistdb.sqlite3", b"x")]), "not compressed"),
        (gzip(b"<html>404</html>"), "no tar archive"),
        (gzip(&tar(&[])), "holds no flistdb.sqlite3"),
        (gzip(&tar(&[("flistdb", b"x")])), "but flistdb"),
        (
            gzip(&tar(&[("flistdb.sqlite3", b"short")])),
            "not an SQLite database",
        ),
        (
            gzip(&tar(&[("flistdb.sqlite3", &[0; 9000])])),
            "not an SQLite database",
        ),
        (
            gzip(&tar(&[("x/flistdb.sqlite3", b"x")])),
            "holds no flistdb.sqlite3",
        ),
    ] {
        let error = refusal(&bytes, &limits).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let many: Vec<(&str, &[u8])> = vec![("x", b""); 40];
    let error = refusal(&gzip(&tar(&many)), &limits).to_string();
    assert!(error.contains("more than 16 entries"), "{error}");
}

#[test]
fn two_databases_are_refused() {
    let users = Users::unpack();
    let flist = fs::read(users.path("tf-zos/zos-production-v3.14.1.flist")).unwrap();
    let mut database = Vec::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(flist.as_slice()));
    for entry in archive.entries().unwrap() {
        std::io::copy(&mut entry.unwrap(), &mut database).unwrap();
    }
    let twice = tar(&[
        ("flistdb.sqlite3", database.as_slice()),
        ("flistdb.sqlite3", database.as_slice()),
    ]);
    let error = refusal(&gzip(&twice), &Limits::default()).to_string();
    assert!(error.contains("twice"), "{error}");
}

#[test]
fn a_folder_and_a_missing_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path(), folder.path()).unwrap_err();
    assert!(error.to_string().contains("a folder"), "{error}");
    let error = open(&folder.path().join("gone.flist"), folder.path()).unwrap_err();
    assert!(error.to_string().contains("gone.flist") && !error.is_refusal());
}

#[test]
fn a_gzip_bomb_is_refused() {
    let mut database = b"SQLite format 3\0".to_vec();
    database.resize(20 << 20, 0);
    let bomb = gzip(&tar(&[("flistdb.sqlite3", &database)]));
    let error = refusal(&bomb, &Limits::default()).to_string();
    assert!(error.contains("ratio of unpacked to packed"), "{error}");
    let limits = Limits {
        unpacked_bytes: 1 << 20,
        ..Limits::default()
    };
    let error = refusal(&bomb, &limits).to_string();
    assert!(
        error.contains("bytes that it unpacks to") && error.contains("1048576"),
        "{error}"
    );
    // The same in what an archive may have beside the database, and in a name.
    for name in ["other", &"n".repeat(300)] {
        let bomb = gzip(&tar(&[(name, &database), ("flistdb.sqlite3", b"x")]));
        assert!(matches!(refusal(&bomb, &limits), FlistError::Limit { .. }));
    }
}

#[test]
fn the_file_itself_has_a_limit() {
    let limits = Limits {
        compressed_bytes: 100,
        ..Limits::default()
    };
    let error = refusal(&gzip(&[7; 100_000]), &limits).to_string();
    assert!(error.contains("limit of 100"), "{error}");
}

#[test]
fn a_cut_off_flist_is_always_noticed() {
    let users = Users::unpack();
    let path = users.path("cut.flist");
    for name in recorded().keys() {
        let whole = fs::read(users.path(name)).unwrap();
        for length in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
            fs::write(&path, &whole[..length]).unwrap();
            let result = open(&path, users.scratch());
            assert!(
                result.is_err_and(|e| e.is_refusal()),
                "{name} cut to {length}"
            );
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_means_nothing() {
    let users = Users::unpack();
    let path = users.path("flipped.flist");
    let original = users.path("tf-zos/zos-production-v3.14.1.flist");
    let unpack = |path| {
        let database = archive::unpack_database(path, &Limits::default(), users.scratch());
        database.map(|database| fs::read(database.path()).unwrap())
    };
    let expected = unpack(&original).unwrap();
    let whole = fs::read(&original).unwrap();
    let mut noticed = 0;
    for at in (0..whole.len()).step_by(5) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        match unpack(&path) {
            // The date in gzip's header, or a copy of the same bytes from elsewhere.
            Ok(database) => assert_eq!(database, expected, "byte {at}"),
            Err(error) => {
                assert!(error.is_refusal(), "{error}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > whole.len() / 6, "{noticed}");
}

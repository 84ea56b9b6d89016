//! Flists that were damaged at random, in each of their layers: the reader ends with an error or
//! with a tree whose names are safe.

use std::cell::Cell;
use std::io::{Read, Write};
use std::ops::ControlFlow;

use bcm_hub_sync::flist::{Flist, Limits, Step};
use bcm_tests::fixtures;
use bcm_tests::origin::Users;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::damage::{Damage, damage, damaged};

/// The recorded flist with the most kinds of files, as it was published.
fn recorded() -> Vec<u8> {
    let mut users = Users::of_tar(&fixtures::users_tar());
    let repository = users.repository("tf-bootable");
    repository.content("ubuntu-tiny.flist").to_vec()
}

fn unpacked(flist: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(flist).read_to_end(&mut tar).expect("gzip");
    tar
}

fn database(tar: &[u8]) -> Vec<u8> {
    let mut archive = tar::Archive::new(tar);
    let mut bytes = Vec::new();
    let mut entries = archive.entries().expect("a tar");
    let mut found = entries
        .find_map(|entry| {
            let entry = entry.expect("an entry");
            let path = entry.path().expect("a path").into_owned();
            path.ends_with("flistdb.sqlite3").then_some(entry)
        })
        .expect("a database");
    found.read_to_end(&mut bytes).expect("read");
    bytes
}

fn packed(database: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(database.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "./flistdb.sqlite3", database)
        .expect("tar");
    gzipped(&tar.into_inner().expect("tar"))
}

fn gzipped(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(tar).expect("gzip");
    gzip.finish().expect("gzip")
}

/// Reads all of it; returns whether it could be read to its end.
fn read(flist: &[u8]) -> Result<bool, TestCaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.flist");
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).expect("a folder");
    std::fs::write(&path, flist).expect("write");
    let limits = Limits {
        unpacked_bytes: 64 << 20,
        entries: 100_000,
        blocks: 1_000_000,
        ..Limits::default()
    };
    let Ok(flist) = Flist::open(&path, &limits, &scratch) else {
        return Ok(false);
    };
    let _ = flist.backend();
    let _ = flist.contents();
    let _ = flist.inspect();
    let blocks = flist.for_each_block(&mut |_| ControlFlow::Continue(()));
    let mut whole = true;
    for step in flist.walk() {
        match step {
            Ok(Step::Entry { inode, .. }) => {
                let name = inode.name.as_encoded_bytes();
                let safe = !name.is_empty() && name != b"." && name != b"..";
                prop_assert!(
                    safe && !name.contains(&b'/') && !name.contains(&0),
                    "{name:?}"
                );
            }
            Ok(_) => {}
            Err(_) => whole = false,
        }
    }
    prop_assert_eq!(blocks.is_ok(), whole);
    let left: Vec<_> = std::fs::read_dir(&scratch).expect("scratch").collect();
    prop_assert!(left.is_empty(), "left in the scratch folder: {left:?}");
    Ok(whole)
}

#[test]
fn the_undamaged_one_reads_in_each_form() {
    let flist = recorded();
    let tar = unpacked(&flist);
    for form in [&flist, &gzipped(&tar), &packed(&database(&tar))] {
        assert!(read(form).expect("no refusal"));
    }
}

fn at_least_one() -> impl Strategy<Value = Vec<Damage>> {
    vec(damage(), 1..6)
}

/// Reads so many of what `make` makes. How many of them could be read to their end, and how many
/// could not.
fn read_damaged<S: Strategy>(inputs: &S, make: impl Fn(S::Value) -> Vec<u8>) -> (u32, u32) {
    const CASES: u32 = 96;
    let whole = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    });
    let check = |input| {
        whole.set(whole.get() + u32::from(read(&make(input))?));
        Ok(())
    };
    runner.run(inputs, check).expect("all of them end");
    (whole.get(), CASES - whole.get())
}

#[test]
fn a_damaged_gzip_ends() {
    let flist = recorded();
    let (whole, not) = read_damaged(&at_least_one(), |damages| damaged(flist.clone(), &damages));
    // Its checksum finds nearly all of it.
    assert!(not > whole, "{whole} of them could be read");
}

#[test]
fn a_damaged_tar_ends() {
    let tar = unpacked(&recorded());
    let (whole, not) = read_damaged(&at_least_one(), |damages| {
        gzipped(&damaged(tar.clone(), &damages))
    });
    assert!(not > 0, "all {whole} could be read");
}

#[test]
fn a_damaged_database_ends() {
    let database = database(&unpacked(&recorded()));
    let (whole, not) = read_damaged(&at_least_one(), |damages| {
        packed(&damaged(database.clone(), &damages))
    });
    assert!(not > 0, "all {whole} could be read");
}

/// The messages are damaged inside a sound database, so that their reader meets the damage.
#[test]
fn damaged_messages_end() {
    let database = database(&unpacked(&recorded()));
    let inputs = (any::<prop::sample::Index>(), at_least_one());
    let (whole, not) = read_damaged(&inputs, |(row, damages)| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db");
        std::fs::write(&path, &database).expect("write");
        let connection = rusqlite::Connection::open(&path).expect("a database");
        let mut query = connection
            .prepare("select key, value from entries order by key")
            .expect("a query");
        let rows: Vec<(String, Vec<u8>)> = query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("rows")
            .map(|row| row.expect("a row"))
            .collect();
        drop(query);
        let (key, value) = row.get(&rows).clone();
        let value = damaged(value, &damages);
        connection
            .execute("update entries set value = ?2 where key = ?1", (key, value))
            .expect("an update");
        connection.close().expect("closed");
        packed(&std::fs::read(&path).expect("read"))
    });
    assert!(
        whole > 0 && not > 0,
        "{whole} could be read, {not} could not"
    );
}

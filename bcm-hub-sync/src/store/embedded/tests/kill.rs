//! `kill -9` of a process that writes, while this one reads.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const FOLDER: &str = "BCM_TEST_STORE_TO_WRITE";

/// Not a test of its own: the process that [`a_killed_writer_loses_nothing_flushed`] starts and
/// kills. Announces each flush.
#[test]
#[ignore = "the writing process of a_killed_writer_loses_nothing_flushed"]
#[allow(clippy::disallowed_methods, reason = "a test's way to talk to itself")]
fn writes_until_killed() {
    let folder = std::env::var_os(FOLDER).expect("started by the other test");
    let store = EmbeddedStore::open_with(folder.into(), Access::ReadWrite, small()).unwrap();
    let first = store.stats().unwrap().blocks as u32;
    // What a killed one has put is found again.
    for seed in (first..1_000_000).step_by(5) {
        store.put(&blocks(seed..seed + 5)).unwrap();
        if seed % 3 == 0 {
            store.flush().unwrap();
            println!("flushed {}", seed + 5);
        }
    }
}

#[test]
fn a_killed_writer_loses_nothing_flushed() {
    let folder = folder_in_memory();
    let reader = EmbeddedStore::open(folder.path(), Access::ReadOnly).unwrap();
    let mut flushed = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .arg("store::embedded::tests::kill::writes_until_killed")
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let announced = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("flushed ")?.parse::<u32>().ok());
        for count in announced.take(3 + 7 * round) {
            flushed = count;
            let newest = reader.get(block(count - 1).key()).unwrap().unwrap();
            assert_eq!(&newest.1, block(count - 1).payload());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(flushed > 0);
        // The killed one's page cache lives on, so even what was not flushed is whole.
        let infos = scan_all(&reader, Direction::Forward, 64);
        assert!(infos.len() >= flushed as usize);
        for (info, seed) in infos.iter().zip(0..) {
            assert_eq!(info.key, *block(seed).key());
            assert_eq!(reader.check(&info.key).unwrap(), Some(true));
        }
        let writer = open_small(folder.path());
        assert_eq!(scan_all(&writer, Direction::Forward, 64), infos);
    }
}

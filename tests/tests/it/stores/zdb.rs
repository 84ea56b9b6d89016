//! A 0-db as the place where blocks are kept.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bcm_core::retry::RetryPolicy;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::embedded::Access;
use bcm_hub_sync::store::zdb::{ZdbStore, ZdbStoreOptions};
use bcm_tests::own_zdb::{OwnZdb, Setup};

use super::conformance::{self, block, blocks};
use super::{Direction, StoreError};

fn writing() -> ZdbStoreOptions {
    ZdbStoreOptions {
        access: Access::ReadWrite,
        retry: RetryPolicy {
            attempts: 3,
            first: Duration::from_millis(20),
            longest: Duration::from_millis(20),
        },
        ..ZdbStoreOptions::default()
    }
}

fn open(url: &str) -> ZdbStore {
    ZdbStore::new(url.parse().expect("an address"), writing()).expect("a store")
}

#[test]
fn a_0_db_conforms() {
    conformance::all_but_foreign_cursors(|| {
        let zdb = OwnZdb::start();
        let store = open(&zdb.url());
        (zdb, store)
    });
}

/// A real server, where one is on the path.
#[test]
fn a_real_0_db_conforms_where_there_is_one() {
    let Some(_) = RealZdb::start() else {
        println!("skipped: there is no `zdb` on the path");
        return;
    };
    conformance::all_but_foreign_cursors(|| {
        let zdb = RealZdb::start().expect("it started before");
        let store = open(&format!("zdb://127.0.0.1:{}/default", zdb.port));
        (zdb, store)
    });
}

struct RealZdb {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl RealZdb {
    fn start() -> Option<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let process = Command::new("zdb")
            .args(["--listen", "127.0.0.1", "--mode", "user", "--port"])
            .arg(port.to_string())
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--index")
            .arg(folder.path().join("index"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        for _ in 0..500 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self {
            process,
            port,
            _folder: folder,
        })
    }
}

impl Drop for RealZdb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_password_is_needed_to_write_and_never_shown() {
    let zdb = OwnZdb::with(Setup {
        admin: Some("boss".into()),
        password: Some("sesame".into()),
    });
    let error = open(&zdb.url()).put(&[block(1)]).unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("read-only mode"), "{error}");

    let error = open(&zdb.url_with("guess")).put(&[block(1)]).unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("Access denied") && !text.contains("guess"),
        "{text}"
    );

    // Not an administrator: the block is taken, with the server's own time.
    let store = open(&zdb.url_with("sesame"));
    assert_eq!(store.put(&blocks(0..3)).unwrap(), 3);
    let (info, payload) = store.get(block(1).key()).unwrap().expect("it is there");
    assert_eq!(&payload, block(1).payload());
    assert_ne!(info.timestamp, block(1).timestamp());
    assert_eq!(store.put(&blocks(0..5)).unwrap(), 2);
}

#[test]
fn read_only_locked_and_full_are_told_apart() {
    let zdb = OwnZdb::start();
    let store = open(&zdb.url());
    store.put(&blocks(1..3)).unwrap();
    let options = ZdbStoreOptions::default();
    let reader = ZdbStore::new(zdb.url().parse().unwrap(), options).unwrap();
    assert!(matches!(reader.put(&[block(9)]), Err(StoreError::ReadOnly)));
    assert!(matches!(
        reader.remove(&[*block(1).key()]),
        Err(StoreError::ReadOnly)
    ));

    zdb.lock(true);
    let error = store.put(&[block(9)]).unwrap_err();
    assert!(error.to_string().contains("temporarily locked"), "{error}");
    assert!(matches!(error, StoreError::NotWritable { .. }));
    let error = store.remove(&[*block(1).key()]).unwrap_err();
    assert!(matches!(error, StoreError::NotWritable { .. }));
    zdb.lock(false);

    zdb.room(Some(zdb.edit(|blocks| blocks.payload_bytes())));
    let error = store.put(&[block(9)]).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(store.stats().unwrap().blocks, 2, "what was there stays");
    zdb.room(None);
    assert_eq!(store.put(&[block(9)]).unwrap(), 1);
}

#[test]
fn a_server_that_was_restarted_is_connected_to_again() {
    let zdb = OwnZdb::start();
    let store = open(&zdb.url());
    store.put(&blocks(0..9)).unwrap();
    zdb.stop();
    let error = store.get(block(1).key()).unwrap_err();
    assert!(matches!(error, StoreError::Remote { .. }), "{error}");
    zdb.start_again();
    assert_eq!(store.put(&blocks(5..12)).unwrap(), 3);
    // A connection that is of no more use costs no try.
    zdb.stop();
    zdb.start_again();
    assert_eq!(
        conformance::scan_all(&store, Direction::Forward, 4).len(),
        12
    );
}

#[test]
fn what_is_no_block_is_passed_over_and_damage_is_seen() {
    let zdb = OwnZdb::start();
    let store = open(&zdb.url());
    zdb.edit(|all| {
        for number in 0..700_u32 {
            all.put(format!("not a block {number}").into_bytes(), "x", 1);
        }
    });
    store.put(&blocks(0..3)).unwrap();
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(conformance::scan_all(&store, direction, 2).len(), 3);
    }
    zdb.edit(|all| all.damage(block(2).key().as_bytes()));
    let error = store.get(block(2).key()).unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert_eq!(store.check(block(2).key()).unwrap(), Some(false));
    assert_eq!(store.check(block(1).key()).unwrap(), Some(true));
}

/// Nothing of it may panic there, and dropping it must not, either.
#[tokio::test]
async fn it_may_be_used_and_dropped_on_a_runtimes_thread() {
    let zdb = OwnZdb::start();
    let store = open(&zdb.url());
    assert_eq!(store.put(&blocks(0..3)).unwrap(), 3);
    assert_eq!(store.stats().unwrap().blocks, 3);
}

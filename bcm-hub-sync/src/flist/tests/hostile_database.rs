//! Databases that are damaged, or do more than hold an flist's tables.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::fixtures::{Users, open};
use crate::flist::{Flist, FlistError, Limits, archive};

/// A recorded flist's database, to be changed and packed again.
struct Patched {
    folder: TempDir,
}

impl Patched {
    fn new() -> Self {
        let users = Users::unpack();
        let folder = tempfile::tempdir().unwrap();
        let path = users.path("tf-bootable/ubuntu-tiny.flist");
        let database = archive::unpack_database(&path, &Limits::default(), folder.path()).unwrap();
        database.persist(folder.path().join("db")).unwrap();
        Self { folder }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    fn execute(self, sql: &str) -> Self {
        let connection = Connection::open(self.database()).unwrap();
        connection.execute_batch(sql).unwrap();
        self
    }

    fn pack(&self) -> PathBuf {
        let path = self.folder.path().join("x.flist");
        let size = fs::metadata(self.database()).unwrap().len();
        archive::write(
            File::open(self.database()).unwrap(),
            size,
            File::create(&path).unwrap(),
        )
        .unwrap();
        path
    }

    fn open(&self, limits: &Limits) -> Result<Flist, FlistError> {
        Flist::open(&self.pack(), limits, self.folder.path())
    }

    fn refusal(&self) -> String {
        let error = self.open(&Limits::default()).unwrap_err();
        assert!(error.is_refusal(), "{error}");
        error.to_string()
    }
}

#[test]
fn what_computes_is_refused() {
    for (sql, expected) in [
        ("DROP TABLE entries", "no table \"entries\""),
        (
            "ALTER TABLE entries RENAME TO e; CREATE VIEW entries AS SELECT * FROM e",
            "it has a view, \"entries\"",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON entries BEGIN SELECT 1; END",
            "it has a trigger, \"t\"",
        ),
        ("CREATE VIRTUAL TABLE v USING fts5(x)", "is a virtual table"),
        (
            "DROP TABLE entries; CREATE TABLE entries (key TEXT, value AS (zeroblob(100000000)))",
            "computed column \"value\"",
        ),
        (
            "DROP TABLE metadata; CREATE TABLE metadata (key TEXT, text TEXT)",
            "no column \"value\"",
        ),
    ] {
        let error = Patched::new().execute(sql).refusal();
        assert!(error.contains(expected), "{sql}: {error}");
    }
}

#[test]
fn an_flist_from_before_there_was_metadata_works() {
    let patched = Patched::new().execute("DROP TABLE metadata");
    let flist = patched.open(&Limits::default()).unwrap();
    assert_eq!(flist.metadata().iter().count(), 0);
    assert_eq!(flist.backend().unwrap(), None);
    assert_eq!(flist.inspect().unwrap().tree.files, 12);
}

#[test]
fn metadata_has_limits() {
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)
        INSERT INTO metadata SELECT i, i FROM n";
    let error = Patched::new().execute(rows).refusal();
    assert!(error.contains("the number of its metadata"), "{error}");
    let long = "INSERT INTO metadata VALUES ('readme', printf('%.*c', 2000000, 'x'))";
    let error = Patched::new().execute(long).refusal();
    assert!(error.contains("the size of its metadata"), "{error}");
}

#[test]
fn a_query_that_takes_too_long_is_stopped() {
    // Without an index every look-up reads the whole table.
    let sql = "ALTER TABLE entries RENAME TO e;
        CREATE TABLE entries (key TEXT, value BLOB);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)
            INSERT INTO entries SELECT 'k' || i, NULL FROM n;
        INSERT INTO entries SELECT * FROM e; DROP TABLE e";
    let patched = Patched::new().execute(sql);
    assert!(patched.open(&Limits::default()).is_ok());
    let limits = Limits {
        query_steps: 10_000,
        ..Limits::default()
    };
    let error = patched.open(&limits).unwrap_err().to_string();
    assert!(error.contains("steps of a query"), "{error}");
}

#[test]
fn a_value_has_a_limit() {
    let patched = Patched::new();
    let limits = Limits {
        value_bytes: 1500,
        ..Limits::default()
    };
    // The root's entry has fewer bytes, that of /var has more.
    let flist = patched.open(&limits).unwrap();
    let error = flist.inspect().unwrap_err().to_string();
    assert!(error.contains("the size of an entry"), "{error}");
}

#[test]
fn entries_that_are_no_messages_are_named() {
    let key = "89986cc72cd40963b84474f8b38aa5cc";
    for value in ["x'00'", "x''", "'text'", "NULL", "7", "zeroblob(4000)"] {
        let patched = Patched::new().execute(&format!(
            "UPDATE entries SET value = {value} WHERE key = '{key}'"
        ));
        let flist = patched.open(&Limits::default()).unwrap();
        let result = flist.inspect();
        // Zeros are a message: an empty directory.
        assert!(
            result.as_ref().is_err_and(|e| e.to_string().contains(key)) || value.starts_with('z'),
            "{value}: {result:?}"
        );
    }
}

/// Reads all there is to read; what it says does not matter.
fn read_all(path: &Path, scratch: &Path) -> bool {
    let Ok(flist) = open(path, scratch) else {
        return false;
    };
    let contents = flist.contents();
    let inspected = flist.inspect();
    contents.is_ok() && inspected.is_ok()
}

#[test]
fn no_damage_to_the_database_makes_it_panic_or_hang() {
    let patched = Patched::new();
    let whole = fs::read(patched.database()).unwrap();
    let (mut read, mut refused) = (0, 0);
    for at in (0..whole.len()).step_by(151) {
        let mut damaged = whole.clone();
        damaged[at] = damaged[at].wrapping_add(1 + (at % 255) as u8);
        fs::write(patched.database(), &damaged).unwrap();
        if read_all(&patched.pack(), patched.folder.path()) {
            read += 1;
        } else {
            refused += 1;
        }
    }
    // Many bytes are free space or times; many are not.
    assert!(read > 30 && refused > 30, "{read} {refused}");
}

//! Writing an flist: entries in, one file out.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bcm_core::atomic_file;
use bcm_core::digest::{DownloadHasher, Md5};
use rusqlite::Connection;
use tempfile::{NamedTempFile, TempPath};

use super::archive;
use super::database::database_error;
use super::error::FlistError;

/// The tables, in upstream's words.
const TABLES: &str = "
    CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB);
    CREATE TABLE metadata (key VARCHAR(64) PRIMARY KEY, value TEXT);
";

/// An flist that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFlist {
    /// Its MD5, as a hub gives it.
    pub md5: Md5,
    /// Its bytes.
    pub size: u64,
}

/// An flist in the making. The same entries and metadata in the same order make the same bytes.
pub(super) struct Writer {
    connection: Connection,
    database: TempPath,
    output: PathBuf,
}

impl Writer {
    /// Begins the flist `output`, of which nothing is to be seen before [`Writer::finish`]. The
    /// database grows in a temporary file in `scratch`.
    pub(super) fn new(output: &Path, scratch: &Path) -> Result<Self, FlistError> {
        let database = NamedTempFile::new_in(scratch)
            .map_err(|e| FlistError::io("create a temporary file in", scratch, e))?
            .into_temp_path();
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&database)?;
            // Nobody else reads it and a crash throws it away: no journal, no syncs.
            connection.pragma_update(None, "page_size", 4096)?;
            connection.pragma_update(None, "journal_mode", "OFF")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.execute_batch(TABLES)?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        };
        let connection = open().map_err(|e| database_error(output, "create", e))?;
        Ok(Self {
            connection,
            database,
            output: output.to_owned(),
        })
    }

    /// The temporary file that the database grows in.
    pub(super) fn database_path(&self) -> &Path {
        &self.database
    }

    /// Adds an entry. Each key can be added once.
    pub(super) fn entry(&self, key: &str, value: &[u8]) -> Result<(), FlistError> {
        self.insert(
            "INSERT INTO entries (key, value) VALUES (?1, ?2)",
            (key, value),
        )
    }

    /// Adds a row of metadata.
    pub(super) fn metadata(&self, key: &str, value: &str) -> Result<(), FlistError> {
        self.insert(
            "INSERT INTO metadata (key, value) VALUES (?1, ?2)",
            (key, value),
        )
    }

    fn insert(&self, sql: &str, row: impl rusqlite::Params) -> Result<(), FlistError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut insert| insert.execute(row))
            .map(drop)
            .map_err(|e| database_error(&self.output, "write to", e))
    }

    /// Writes the archive under a temporary name, makes it durable and gives it its own name.
    pub(super) fn finish(self) -> Result<WrittenFlist, FlistError> {
        let output = self.output;
        self.connection
            .execute_batch("COMMIT")
            .and_then(|()| self.connection.close().map_err(|(_, e)| e))
            .map_err(|e| database_error(&output, "write to", e))?;
        let failed = |operation, e| FlistError::io(operation, &output, e);
        let database = File::open(&self.database).map_err(|e| failed("read back", e))?;
        let size = database
            .metadata()
            .map_err(|e| failed("read back", e))?
            .len();

        let folder = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".flist-")
            .suffix(".new")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(|e| failed("create", e))?;
        let (md5, size) =
            write_archive(database, size, temporary.as_file()).map_err(|e| failed("write", e))?;
        temporary
            .persist(&output)
            .map_err(|e| failed("replace", e.error))?;
        atomic_file::sync_dir(folder)
            .map_err(|e| failed("make durable the name of", copy_error(e.io_error())))?;
        Ok(WrittenFlist { md5, size })
    }
}

/// Writes the archive and makes its bytes durable.
fn write_archive(database: File, size: u64, to: &File) -> io::Result<(Md5, u64)> {
    let mut hashing = Hashing {
        inner: BufWriter::new(to),
        hasher: DownloadHasher::default(),
    };
    archive::write(database, size, &mut hashing)?;
    to.sync_all()?;
    let (md5, _, size) = hashing.hasher.finish();
    Ok((md5, size))
}

/// An error like `error`, which only lends itself.
fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

struct Hashing<W> {
    inner: W,
    hasher: DownloadHasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

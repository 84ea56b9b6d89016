//! The SQLite database inside an flist, opened so that a hostile one can do no harm.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::error::{DatabaseError, FlistError};
use super::limits::Limits;

/// How often the steps of a query are counted.
const STEPS_PER_CALL: u32 = 1000;

/// An flist's database, for reading.
pub(super) struct Database {
    connection: Connection,
    /// The flist, for errors.
    path: PathBuf,
    /// Steps that the running query has left.
    steps: Arc<AtomicU64>,
    limits: Limits,
    has_metadata: bool,
}

impl Database {
    /// Opens the unpacked database `file` of the flist `path` and checks its schema. `file` may
    /// be removed afterwards.
    pub(super) fn open(file: &Path, path: &Path, limits: &Limits) -> Result<Self, FlistError> {
        let steps = Arc::new(AtomicU64::new(limits.query_steps));
        let connection = open_read_only(file, limits, Arc::clone(&steps))
            .map_err(|source| database_error(path, "open", source))?;
        let mut database = Self {
            connection,
            path: path.to_owned(),
            steps,
            limits: limits.clone(),
            has_metadata: false,
        };
        database.check_schema()?;
        Ok(database)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Calls `read` with the value of `key`, or returns `None` where there is none.
    pub(super) fn with_value<T>(
        &self,
        key: &str,
        read: impl FnOnce(&[u8]) -> Result<T, FlistError>,
    ) -> Result<Option<T>, FlistError> {
        let failed = |source| self.error("read an entry of", source);
        self.start_query();
        let mut query = self
            .connection
            .prepare_cached("SELECT value FROM entries WHERE key = ?1")
            .map_err(failed)?;
        let mut rows = query.query([key]).map_err(failed)?;
        let Some(row) = rows.next().map_err(failed)? else {
            return Ok(None);
        };
        match row.get_ref(0).map_err(failed)? {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => read(bytes).map(Some),
            _ => Err(FlistError::Message {
                path: self.path.clone(),
                key: key.to_owned(),
                problem: "it is not a message".to_owned(),
            }),
        }
    }

    /// The rows of metadata in the order they were written; none in flists from before there was
    /// any.
    pub(super) fn metadata(&self) -> Result<Vec<(String, String)>, FlistError> {
        if !self.has_metadata {
            return Ok(Vec::new());
        }
        let failed = |source| self.error("read the metadata in", source);
        self.start_query();
        let mut query = self
            .connection
            .prepare_cached("SELECT key, value FROM metadata ORDER BY rowid")
            .map_err(failed)?;
        let mut rows = query.query([]).map_err(failed)?;
        let mut metadata = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            if metadata.len() >= self.limits.metadata_rows as usize {
                return Err(self.limit("the number of its metadata", self.limits.metadata_rows));
            }
            let text = |column| match row.get_ref(column).map_err(failed)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes)
                    if bytes.len() <= self.limits.metadata_bytes as usize =>
                {
                    Ok(String::from_utf8_lossy(bytes).into_owned())
                }
                ValueRef::Text(_) | ValueRef::Blob(_) => {
                    Err(self.limit("the size of its metadata", self.limits.metadata_bytes))
                }
                ValueRef::Integer(number) => Ok(number.to_string()),
                ValueRef::Real(number) => Ok(number.to_string()),
                ValueRef::Null => Ok(String::new()),
            };
            metadata.push((text(0)?, text(1)?));
        }
        Ok(metadata)
    }

    /// Calls `each` with key and value of every entry, in the order of the keys.
    pub(super) fn for_each_entry(
        &self,
        mut each: impl FnMut(&str, &[u8]) -> Result<(), FlistError>,
    ) -> Result<(), FlistError> {
        let failed = |source| self.error("read the entries of", source);
        self.start_query();
        let mut query = self
            .connection
            .prepare("SELECT key, value FROM entries ORDER BY key")
            .map_err(failed)?;
        let mut rows = query.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            // Every row has its own budget, for there may be many.
            self.start_query();
            let (ValueRef::Text(key), ValueRef::Blob(value)) = (
                row.get_ref(0).map_err(failed)?,
                row.get_ref(1).map_err(failed)?,
            ) else {
                return Err(self.schema("an entry is not text and bytes"));
            };
            let Ok(key) = std::str::from_utf8(key) else {
                return Err(self.schema("the key of an entry is not text"));
            };
            each(key, value)?;
        }
        Ok(())
    }

    fn start_query(&self) {
        self.steps.store(self.limits.query_steps, Ordering::Relaxed);
    }

    /// The database has to have a plain table `entries`, may have one `metadata`, and nothing
    /// that computes: views, triggers, virtual tables, generated columns.
    fn check_schema(&mut self) -> Result<(), FlistError> {
        let failed = |source| database_error(&self.path, "read the tables of", source);
        self.start_query();
        let mut has_entries = false;
        let mut has_metadata = false;
        let mut query = self
            .connection
            .prepare("SELECT type, name, rootpage FROM sqlite_schema")
            .map_err(failed)?;
        let mut rows = query.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let kind: String = row.get(0).map_err(failed)?;
            let name: String = row.get(1).map_err(failed)?;
            let root: Option<i64> = row.get(2).map_err(failed)?;
            match (kind.as_str(), root.unwrap_or(0)) {
                ("index", _) => {}
                ("table", 0) => return Err(self.schema(format!("{name:?} is a virtual table"))),
                ("table", _) => match name.as_str() {
                    "entries" => has_entries = true,
                    "metadata" => has_metadata = true,
                    _ => {}
                },
                (kind, _) => return Err(self.schema(format!("it has a {kind}, {name:?}"))),
            }
        }
        drop(rows);
        drop(query);
        if !has_entries {
            return Err(self.schema("it has no table \"entries\""));
        }
        self.check_columns("entries")?;
        if has_metadata {
            self.check_columns("metadata")?;
        }
        self.has_metadata = has_metadata;
        Ok(())
    }

    fn check_columns(&self, table: &str) -> Result<(), FlistError> {
        let failed = |source| database_error(&self.path, "read the tables of", source);
        self.start_query();
        let mut query = self
            .connection
            .prepare("SELECT name, hidden FROM pragma_table_xinfo(?1)")
            .map_err(failed)?;
        let mut rows = query.query([table]).map_err(failed)?;
        let mut columns = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let name: String = row.get(0).map_err(failed)?;
            let hidden: i64 = row.get(1).map_err(failed)?;
            if hidden != 0 {
                return Err(self.schema(format!("{table:?} has a computed column {name:?}")));
            }
            columns.push(name);
        }
        for wanted in ["key", "value"] {
            if !columns.iter().any(|column| column == wanted) {
                return Err(self.schema(format!("{table:?} has no column {wanted:?}")));
            }
        }
        Ok(())
    }

    fn error(&self, operation: &'static str, source: rusqlite::Error) -> FlistError {
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => {
                self.limit("the number of steps of a query", self.limits.query_steps)
            }
            Some(rusqlite::ErrorCode::TooBig) => {
                self.limit("the size of an entry", self.limits.value_bytes)
            }
            _ => database_error(&self.path, operation, source),
        }
    }

    fn limit(&self, what: &'static str, limit: impl Into<u64>) -> FlistError {
        FlistError::Limit {
            path: self.path.clone(),
            what,
            limit: limit.into(),
        }
    }

    fn schema(&self, problem: impl Into<String>) -> FlistError {
        FlistError::Schema {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }
}

pub(super) fn database_error(
    path: &Path,
    operation: &'static str,
    source: rusqlite::Error,
) -> FlistError {
    FlistError::Database {
        path: path.to_owned(),
        operation,
        source: DatabaseError(source),
    }
}

fn open_read_only(
    file: &Path,
    limits: &Limits,
    steps: Arc<AtomicU64>,
) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_with_flags(
        immutable_uri(file),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE,
    )?;
    for (limit, value) in [
        (
            Limit::SQLITE_LIMIT_LENGTH,
            limits.value_bytes.min(i32::MAX as u32) as i32,
        ),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 64 * 1024),
        (Limit::SQLITE_LIMIT_COLUMN, 64),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 20),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 4),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 8),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    for (config, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(config, value)?;
    }
    connection.progress_handler(
        STEPS_PER_CALL as i32,
        Some(move || {
            steps
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(u64::from(STEPS_PER_CALL))
                })
                .is_err()
        }),
    )?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// SQLite's name for a file that nobody changes: no locks, no journal, no other file is looked at.
fn immutable_uri(file: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(*byte as char);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

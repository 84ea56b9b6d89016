//! The outer layers of an flist: a gzip'd tar that holds one SQLite file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use tempfile::NamedTempFile;

use super::error::FlistError;
use super::limits::Limits;

/// The name of the database in the archive.
const DATABASE: &str = "flistdb.sqlite3";
/// An flist's archive holds two entries; a few more do no harm.
const MAX_ARCHIVE_ENTRIES: usize = 16;
/// Up to here the ratio is not looked at.
const RATIO_FREE_BYTES: u64 = 16 << 20;
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// Bytes of a tar header, and what all its contents are rounded up to.
const TAR_BLOCK: u64 = 512;

/// Unpacks the database of the flist `path` to a new file in `scratch`.
pub(super) fn unpack_database(
    path: &Path,
    limits: &Limits,
    scratch: &Path,
) -> Result<NamedTempFile, FlistError> {
    let mut file = File::open(path).map_err(|e| FlistError::io("open", path, e))?;
    let metadata = file
        .metadata()
        .map_err(|e| FlistError::io("look at", path, e))?;
    if !metadata.is_file() {
        return Err(FlistError::NotAnFlist {
            path: path.to_owned(),
            looks_like: "a folder or a device".to_owned(),
        });
    }
    let compressed = metadata.len();
    check_start(path, &mut file)?;
    if compressed > limits.compressed_bytes {
        return Err(FlistError::Limit {
            path: path.to_owned(),
            what: "the number of its bytes",
            limit: limits.compressed_bytes,
        });
    }
    let by_ratio = compressed
        .saturating_mul(limits.ratio)
        .max(RATIO_FREE_BYTES);
    let allowed = limits.unpacked_bytes.min(by_ratio);
    let budget = if by_ratio < limits.unpacked_bytes {
        Budget {
            what: "the ratio of unpacked to packed bytes",
            limit: limits.ratio,
        }
    } else {
        Budget {
            what: "the number of bytes that it unpacks to",
            limit: limits.unpacked_bytes,
        }
    };
    let mut database = NamedTempFile::new_in(scratch)
        .map_err(|e| FlistError::io("create a temporary file in", scratch, e))?;
    let limited = Limited {
        inner: GzDecoder::new(BufReader::with_capacity(64 * 1024, file)),
        left: allowed,
    };
    extract(limited, &mut database).map_err(|stopped| match stopped {
        Stopped::TooLarge => FlistError::Limit {
            path: path.to_owned(),
            what: budget.what,
            limit: budget.limit,
        },
        Stopped::Read(source) => FlistError::Damaged {
            path: path.to_owned(),
            source,
        },
        Stopped::Write(source) => {
            FlistError::io("write the unpacked database to", database.path(), source)
        }
        Stopped::Refused(problem) => FlistError::Archive {
            path: path.to_owned(),
            problem,
        },
    })?;
    Ok(database)
}

/// Which limit is in force, for the error that says so.
struct Budget {
    what: &'static str,
    limit: u64,
}

enum Stopped {
    TooLarge,
    Read(io::Error),
    Write(io::Error),
    Refused(String),
}

impl Stopped {
    fn read(error: io::Error) -> Self {
        if error
            .get_ref()
            .is_some_and(|inner| inner.is::<OverBudget>())
        {
            Self::TooLarge
        } else {
            Self::Read(error)
        }
    }
}

fn extract(unpacked: impl Read, database: &mut NamedTempFile) -> Result<(), Stopped> {
    let mut archive = tar::Archive::new(unpacked);
    let mut found = false;
    let mut others = Vec::new();
    // Raw: long names and extended headers are entries of their own here, and skipped; otherwise
    // each would be read into memory whole.
    let entries = archive.entries().map_err(Stopped::read)?.raw(true);
    for (number, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|e| match Stopped::read(e) {
            Stopped::Read(e) if number == 0 && e.kind() == io::ErrorKind::Other => {
                Stopped::Refused("it is compressed, but holds no tar archive".to_owned())
            }
            other => other,
        })?;
        if number >= MAX_ARCHIVE_ENTRIES {
            return Err(Stopped::Refused(format!(
                "its archive holds more than {MAX_ARCHIVE_ENTRIES} entries"
            )));
        }
        let name = entry.path_bytes().into_owned();
        let name = name.strip_prefix(b"./").unwrap_or(&name);
        if name != DATABASE.as_bytes() {
            if entry.header().entry_type().is_file() {
                others.push(String::from_utf8_lossy(&name[..name.len().min(80)]).into_owned());
            }
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(Stopped::Refused(format!("its {DATABASE} is not a file")));
        }
        if found {
            return Err(Stopped::Refused(format!("it holds {DATABASE} twice")));
        }
        found = true;
        let mut start = [0; SQLITE_MAGIC.len()];
        match entry.read_exact(&mut start) {
            Ok(()) if start == *SQLITE_MAGIC => {}
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => return Err(Stopped::read(e)),
            _ => {
                return Err(Stopped::Refused(format!(
                    "its {DATABASE} is not an SQLite database"
                )));
            }
        }
        database.write_all(&start).map_err(Stopped::Write)?;
        copy(&mut entry, database)?;
    }
    if !found {
        return Err(Stopped::Refused(if others.is_empty() {
            format!("its archive holds no {DATABASE}")
        } else {
            format!("its archive holds no {DATABASE}, but {}", others.join(", "))
        }));
    }
    // The rest of the stream: its check sum comes last.
    copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

/// Copies all, telling a read error from a write error.
fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<(), Stopped> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count]).map_err(Stopped::Write)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Stopped::read(e)),
        }
    }
}

/// A reader that fails once it has given more than it may.
struct Limited<R> {
    inner: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("unpacks to more than is allowed")]
struct OverBudget;

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => Err(io::Error::other(OverBudget)),
        }
    }
}

/// Refuses what does not start as gzip does, and says what it looks like.
fn check_start(path: &Path, file: &mut File) -> Result<(), FlistError> {
    let mut start = Vec::with_capacity(512);
    file.take(512)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .map_err(|e| FlistError::io("read", path, e))?;
    if start.starts_with(GZIP_MAGIC) {
        return Ok(());
    }
    Err(FlistError::NotAnFlist {
        path: path.to_owned(),
        looks_like: looks_like(&start),
    })
}

/// What the start of a file that is no flist looks like, for people.
fn looks_like(start: &[u8]) -> String {
    let known: [(&[u8], &str); 7] = [
        (
            SQLITE_MAGIC,
            "an SQLite database, as flists of the newer .fl format are",
        ),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd data"),
        (b"\xfd7zXZ\0", "xz data"),
        (b"BZh", "bzip2 data"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x7fELF", "a program"),
        (b"%PDF", "a PDF"),
    ];
    if start.is_empty() {
        return "an empty file".to_owned();
    }
    if let Some((_, what)) = known.iter().find(|(magic, _)| start.starts_with(magic)) {
        return (*what).to_owned();
    }
    if start.get(257..262) == Some(b"ustar") {
        return "a tar archive that is not compressed".to_owned();
    }
    let text = String::from_utf8_lossy(start).trim_start().to_lowercase();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        return "an HTML page".to_owned();
    }
    if text.starts_with('{') || text.starts_with('[') {
        return "JSON".to_owned();
    }
    if start
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    {
        return "text".to_owned();
    }
    let hex = bcm_core::digest::to_hex(&start[..start.len().min(8)]);
    format!("nothing known (it starts with the bytes {hex})")
}

/// Writes the archive of an flist around the database `database`, whose length is `size`. The
/// result depends on the database's bytes alone: all times are zero and all owners root, and the
/// names are those that upstream writes.
pub(super) fn write(mut database: impl Read, size: u64, to: impl Write) -> io::Result<()> {
    // 3 is Unix, as gzip itself writes.
    let mut gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(3)
        .write(to, Compression::default());
    gzip.write_all(header("./", tar::EntryType::Directory, 0o700, 0).as_bytes())?;
    let file = header(
        &format!("./{DATABASE}"),
        tar::EntryType::Regular,
        0o644,
        size,
    );
    gzip.write_all(file.as_bytes())?;
    let copied = io::copy(&mut database, &mut gzip)?;
    if copied != size {
        return Err(io::Error::other("the database changed while it was read"));
    }
    let padding = size.next_multiple_of(TAR_BLOCK) - size;
    // Two empty blocks end an archive.
    let end = vec![0; (padding + 2 * TAR_BLOCK) as usize];
    gzip.write_all(&end)?;
    gzip.finish()?.flush()
}

fn header(name: &str, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    // Not `set_path`, which drops the `./`.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    if let Some(gnu) = header.as_gnu_mut() {
        gnu.uname[..4].copy_from_slice(b"root");
        gnu.gname[..4].copy_from_slice(b"root");
    }
    header.set_cksum();
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_flist_is_named() {
        for (start, expected) in [
            (&b""[..], "an empty file"),
            (b"<!DOCTYPE HTML>\n<title>404", "an HTML page"),
            (b"\n  <html><body>", "an HTML page"),
            (b"{\"status\": \"error\"}", "JSON"),
            (b"Not found\n", "text"),
            (b"\x7fELF\x02\x01", "a program"),
            (b"SQLite format 3\0...", "newer .fl format"),
            (b"\x00\x01\x02", "000102"),
        ] {
            let text = looks_like(start);
            assert!(text.contains(expected), "{start:?}: {text}");
        }
    }
}

//! The journal: which blocks were put and removed, in order, 64 bytes each.
//!
//! It is what a scan reads, what the index is made of, and the only authority on what is in the
//! store. Slot 0 is a header with the store's id; record `n` is in slot `n`.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;

use super::record::{DEAD_AT, RECORD_BYTES, RawRecord, Record};
use crate::store::StoreError;

pub(super) const FILE_NAME: &str = "journal";

const MAGIC: &[u8; 16] = b"BCM journal 1\n\0\0";

/// How many records are read at a time.
const CHUNK: u64 = 4096;

#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    store_id: u64,
    #[cfg(test)]
    pub(super) room: super::tests::DiskRoom,
}

impl Journal {
    /// Writes an empty journal, durable, with a new id.
    pub(super) fn create(folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(FILE_NAME);
        // The keys of a `RandomState` come from the operating system.
        let store_id = RandomState::new().hash_one(std::process::id());
        let mut header = [0; RECORD_BYTES];
        header[..16].copy_from_slice(MAGIC);
        header[16..24].copy_from_slice(&store_id.to_le_bytes());
        let crc = crc32fast::hash(&header[..24]);
        header[24..28].copy_from_slice(&crc.to_le_bytes());
        super::write_atomically(&path, &header)
    }

    /// `None` where there is none.
    pub(super) fn open(folder: &Path, writable: bool) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE_NAME);
        let file = match OpenOptions::new().read(true).write(writable).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        let mut header = [0; RECORD_BYTES];
        file.read_exact_at(&mut header, 0)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    StoreError::damaged(&path, 0, "it ends within its header")
                }
                _ => StoreError::io("read", &path)(error),
            })?;
        let (mut id, mut crc) = ([0; 8], [0; 4]);
        id.copy_from_slice(&header[16..24]);
        crc.copy_from_slice(&header[24..28]);
        if header[..16] != MAGIC[..] || crc32fast::hash(&header[..24]) != u32::from_le_bytes(crc) {
            let what = "it does not begin as a journal of blocks does";
            return Err(StoreError::damaged(&path, 0, what));
        }
        Ok(Some(Self {
            file,
            path,
            store_id: u64::from_le_bytes(id),
            #[cfg(test)]
            room: super::tests::DiskRoom::default(),
        }))
    }

    pub(super) fn store_id(&self) -> u64 {
        self.store_id
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many whole records the file has room for, which is the last record's number.
    pub(super) fn last(&self) -> Result<u64, StoreError> {
        let length = self
            .file
            .metadata()
            .map_err(StoreError::io("look at", &self.path))?
            .len();
        Ok((length / RECORD_BYTES as u64).saturating_sub(1))
    }

    /// The bytes of up to `count` records from number `first` on; fewer at the end of the file.
    pub(super) fn read_raw(
        &self,
        first: u64,
        count: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        into.clear();
        into.reserve(count * RECORD_BYTES);
        let wanted = count * RECORD_BYTES;
        let start = first * RECORD_BYTES as u64;
        while into.len() < wanted {
            let at = start + into.len() as u64;
            match rustix::io::pread(&self.file, spare_capacity(into), at) {
                Ok(0) => break,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(StoreError::io("read", &self.path)(errno.into())),
            }
        }
        // `reserve` may have made more room than asked for; a piece of a record is no record.
        let whole = into.len().min(wanted) / RECORD_BYTES * RECORD_BYTES;
        into.truncate(whole);
        Ok(())
    }

    /// The record in slot `number`, or `None` when there is none, or no whole one.
    pub(super) fn record(&self, number: u64) -> Result<Option<Record>, StoreError> {
        let mut raw = [0; RECORD_BYTES];
        let at = number * RECORD_BYTES as u64;
        match self.file.read_exact_at(&mut raw, at) {
            Ok(()) => Ok(self.decode(number, &raw)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(StoreError::io("read", &self.path)(error)),
        }
    }

    /// A record out of bytes that were read from slot `number`.
    pub(super) fn decode(&self, number: u64, raw: &RawRecord) -> Option<Record> {
        Record::decode(raw, self.store_id).filter(|record| record.number == number && number > 0)
    }

    /// Hands over the records `first..=last` in order, in chunks, until one is not whole or the
    /// file ends. Returns the last number that was handed over, or `first - 1`.
    pub(super) fn for_each(
        &self,
        first: u64,
        last: u64,
        mut take: impl FnMut(&[Record]) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let mut raw = Vec::new();
        let mut records = Vec::new();
        let mut next = first;
        while next <= last {
            let count = (last - next + 1).min(CHUNK) as usize;
            self.read_raw(next, count, &mut raw)?;
            records.clear();
            let (slots, _) = raw.as_chunks::<RECORD_BYTES>();
            for (slot, number) in slots.iter().zip(next..) {
                match self.decode(number, slot) {
                    Some(record) => records.push(record),
                    None => break,
                }
            }
            if !records.is_empty() {
                take(&records)?;
            }
            next += records.len() as u64;
            if records.len() < count {
                break;
            }
        }
        Ok(next - 1)
    }

    /// Writes whole records from slot `first` on. Returns how many are there now, and why that is
    /// not all of them; a piece of a record is cut off again.
    pub(super) fn append(&self, first: u64, raw: &[u8]) -> (usize, Option<io::Error>) {
        let start = first * RECORD_BYTES as u64;
        let mut written = 0;
        while written < raw.len() {
            #[cfg(test)]
            let raw = match self.room.take_some(raw.len()) {
                Ok(room) if room > written => &raw[..room],
                _ => return self.cut(start, written, io::ErrorKind::StorageFull.into()),
            };
            match self.file.write_at(&raw[written..], start + written as u64) {
                Ok(0) => return self.cut(start, written, io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.cut(start, written, error),
            }
        }
        (raw.len() / RECORD_BYTES, None)
    }

    fn cut(&self, start: u64, written: usize, error: io::Error) -> (usize, Option<io::Error>) {
        let records = written / RECORD_BYTES;
        // When this fails too, the next append overwrites the piece, and no reader takes it for a
        // record.
        let _ = self.file.set_len(start + (records * RECORD_BYTES) as u64);
        (records, Some(error))
    }

    /// Marks the block that was put as record `number` as removed, for scans.
    pub(super) fn mark_dead(&self, number: u64) -> Result<(), StoreError> {
        self.file
            .write_all_at(&[1], number * RECORD_BYTES as u64 + DEAD_AT)
            .map_err(StoreError::io("write", &self.path))
    }

    /// Writes record `number` again, where a bad one is.
    pub(super) fn mend(&self, number: u64, raw: &RawRecord) -> Result<(), StoreError> {
        self.file
            .write_all_at(raw, number * RECORD_BYTES as u64)
            .map_err(StoreError::io("write", &self.path))
    }

    /// Cuts off what is behind record `last`.
    pub(super) fn truncate(&self, last: u64) -> Result<(), StoreError> {
        let length = (last + 1) * RECORD_BYTES as u64;
        let metadata = self.file.metadata();
        metadata
            .and_then(|metadata| match metadata.len() == length {
                true => Ok(()),
                false => self.file.set_len(length),
            })
            .map_err(StoreError::io("truncate", &self.path))
    }

    /// The error for a record that has changed.
    pub(super) fn bad_record(&self, number: u64) -> StoreError {
        let at = number * RECORD_BYTES as u64;
        StoreError::damaged(&self.path, at, "a record is not what was written")
    }

    /// The error for a record that has changed, and that the next writer makes again.
    pub(super) fn mendable_record(&self, number: u64) -> StoreError {
        let at = number * RECORD_BYTES as u64;
        let what =
            "a record is not what was written; the next to write to the store makes it again";
        StoreError::damaged(&self.path, at, what)
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file
            .sync_data()
            .map_err(StoreError::io("sync", &self.path))
    }
}

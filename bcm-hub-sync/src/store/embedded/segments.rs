//! The segments: payloads, each behind a copy of its record, in files of 256 MiB.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::num::NonZero;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{Advice, FallocateFlags};
use rustix::io::Errno;

use super::record::{Body, Place, Put, RECORD_BYTES, RawRecord, Record};
use crate::store::{StoreError, VerifiedBlock};

const PREFIX: &str = "blocks-";
const SUFFIX: &str = ".data";

/// How many segments are kept open for reading: enough for 16 GiB of blocks that are in use.
const OPEN_FILES: usize = 64;

/// One vectored write takes this much at most. Larger ones cost several times the processor time
/// on file systems with large folios (ext4 in Linux 6.18: 4 times with 800 pieces or 1 MiB).
const WRITE_PIECES: usize = 64;
const WRITE_BYTES: usize = 512 << 10;

/// Blocks that are smaller on average are copied together before they are written.
const WORTH_A_PIECE: usize = 4096;

/// Less room than this is not worth a call: file systems free whole blocks of it.
const WORTH_FREEING: u64 = 4096;

#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    open: RwLock<HashMap<u32, Arc<File>>>,
    #[cfg(test)]
    pub(super) room: super::tests::DiskRoom,
}

/// A block as it was read: `payload` is what follows the record, unchecked.
pub(super) struct RawBlock {
    pub(super) record: Record,
    pub(super) payload: Bytes,
}

impl RawBlock {
    pub(super) fn put(&self) -> Option<&Put> {
        match &self.record.body {
            Body::Put(put) => Some(put),
            _ => None,
        }
    }

    pub(super) fn is_intact(&self) -> bool {
        self.put()
            .is_some_and(|put| crc32fast::hash(&self.payload) == put.payload_crc)
    }
}

impl Segments {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            open: RwLock::default(),
            #[cfg(test)]
            room: super::tests::DiskRoom::default(),
        }
    }

    pub(super) fn path(&self, segment: u32) -> PathBuf {
        self.folder.join(format!("{PREFIX}{segment:06}{SUFFIX}"))
    }

    /// The number of the segment whose file has this name.
    pub(super) fn number(name: &str) -> Option<u32> {
        let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    }

    fn file(&self, segment: u32) -> Result<Arc<File>, StoreError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&segment) {
            return Ok(Arc::clone(file));
        }
        drop(open);
        let path = self.path(segment);
        let file = match File::open(&path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::damaged(&path, 0, "the file is missing"));
            }
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN_FILES {
            // Which one goes hardly matters: opening it again costs some microseconds.
            let victim = open.keys().next().copied();
            victim.and_then(|victim| open.remove(&victim));
        }
        open.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Reads `length` bytes from `offset` on; what is missing at the end of the file is an error.
    pub(super) fn read_range(
        &self,
        segment: u32,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, StoreError> {
        let file = self.file(segment)?;
        let mut buffer = Vec::with_capacity(length);
        while buffer.len() < length {
            let at = offset + buffer.len() as u64;
            match rustix::io::pread(&*file, spare_capacity(&mut buffer), at) {
                Ok(0) => {
                    let what = "the file ends within a block";
                    return Err(StoreError::damaged(&self.path(segment), at, what));
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(StoreError::io("read", &self.path(segment))(errno.into()));
                }
            }
        }
        // The allocator may have given more room than asked for.
        buffer.truncate(length);
        Ok(buffer.into())
    }

    /// Reads the block at `place` and checks that it is the one that was put as record `number`.
    pub(super) fn read(
        &self,
        number: u64,
        place: &Place,
        store_id: u64,
    ) -> Result<RawBlock, StoreError> {
        let length = RECORD_BYTES + place.size as usize;
        let bytes = self.read_range(place.segment, u64::from(place.offset), length)?;
        self.split(&bytes, number, place, store_id)
    }

    /// Makes a block of `bytes`, which were read from `place`.
    pub(super) fn split(
        &self,
        bytes: &Bytes,
        number: u64,
        place: &Place,
        store_id: u64,
    ) -> Result<RawBlock, StoreError> {
        let record = bytes
            .first_chunk()
            .and_then(|raw: &RawRecord| Record::decode(raw, store_id))
            .filter(|record| {
                record.number == number
                    && matches!(&record.body, Body::Put(put) if put.place == *place)
            });
        match record {
            Some(record) => Ok(RawBlock {
                record,
                payload: bytes.slice(RECORD_BYTES..),
            }),
            None => {
                let what = "the record in front of a block is not what was written";
                let path = self.path(place.segment);
                Err(StoreError::damaged(&path, u64::from(place.offset), what))
            }
        }
    }

    /// The error for a block whose payload has changed.
    pub(super) fn changed(&self, place: &Place) -> StoreError {
        let at = u64::from(place.offset) + RECORD_BYTES as u64;
        let what = "the payload of a block is not what was written";
        StoreError::damaged(&self.path(place.segment), at, what)
    }

    /// Opens a segment for writing, making it where it does not exist.
    pub(super) fn open_for_writing(&self, segment: u32) -> Result<File, StoreError> {
        let path = self.path(segment);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))
    }

    /// Writes `records`, each with its payload behind it, at `offset`.
    pub(super) fn write_at(
        &self,
        file: &File,
        records: &[RawRecord],
        blocks: &[&VerifiedBlock],
        mut offset: u64,
    ) -> io::Result<()> {
        let payload_bytes: usize = blocks.iter().map(|block| block.payload().len()).sum();
        #[cfg(test)]
        self.room
            .take(payload_bytes + records.as_flattened().len())?;
        let pairs = records.iter().zip(blocks);
        if payload_bytes < blocks.len() * WORTH_A_PIECE {
            // Copying small payloads is cheaper than telling the kernel where each of them is.
            let mut joined = Vec::with_capacity(payload_bytes + records.as_flattened().len());
            for (record, block) in pairs {
                joined.extend_from_slice(record);
                joined.extend_from_slice(block.payload());
            }
            return file.write_all_at(&joined, offset);
        }
        let mut window = Vec::with_capacity(WRITE_PIECES);
        let mut bytes = 0;
        for (record, block) in pairs {
            let payload = block.payload().chunks(WRITE_BYTES);
            for piece in std::iter::once(&record[..]).chain(payload) {
                if window.len() == WRITE_PIECES || bytes + piece.len() > WRITE_BYTES {
                    write_pieces(file, &mut window, offset)?;
                    offset += bytes as u64;
                    bytes = 0;
                    window.clear();
                }
                bytes += piece.len();
                window.push(IoSlice::new(piece));
            }
        }
        write_pieces(file, &mut window, offset)
    }

    /// Frees `places` as far as the file system can; where it cannot, the room stays taken.
    pub(super) fn free(&self, places: &mut Vec<Place>) {
        places.sort_unstable_by_key(|place| (place.segment, place.offset));
        let mut ranges: Vec<(u32, Range<u64>)> = Vec::new();
        for place in places.drain(..) {
            let start = u64::from(place.offset);
            match ranges.last_mut() {
                Some((segment, range)) if *segment == place.segment && range.end == start => {
                    range.end = place.end();
                }
                _ => ranges.push((place.segment, start..place.end())),
            }
        }
        for (segment, range) in ranges {
            if range.end - range.start >= WORTH_FREEING
                && !matches!(self.punch(segment, range), Ok(true))
            {
                return;
            }
        }
    }

    /// Gives the room of `bytes` in a segment back to the file system. Returns whether it takes it.
    pub(super) fn punch(&self, segment: u32, bytes: Range<u64>) -> Result<bool, StoreError> {
        let path = self.path(segment);
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&file, flags, bytes.start, bytes.end - bytes.start) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(errno) => Err(StoreError::io("free room in", &path)(errno.into())),
        }
    }
}

/// Lets the disk begin with `bytes` of a file, without waiting for it. Errors come with the next
/// sync, as they would have anyway.
pub(super) fn begin_writing(file: &File, bytes: Range<u64>) {
    // Linux starts to write what is dirty of pages that are said not to be needed, and keeps them.
    if let Some(length) = NonZero::new(bytes.end.saturating_sub(bytes.start)) {
        let _ = rustix::fs::fadvise(file, bytes.start, Some(length), Advice::DontNeed);
    }
}

fn write_pieces(file: &File, mut pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    while !pieces.is_empty() {
        match rustix::io::pwritev(file, pieces, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                IoSlice::advance_slices(&mut pieces, count);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

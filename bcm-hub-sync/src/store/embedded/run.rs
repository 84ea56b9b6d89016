//! A run: an immutable, sorted part of the index, in one file that is read without a cache of
//! ours and without a memory map.
//!
//! ```text
//! header  9 pages  magic (16) · store id (8) · entries (8) · fences: 4097 × 8 · … · CRC-32
//! pages   4 KiB    127 entries of 32 bytes · zeros · CRC-32
//! ```
//! An entry: first 16 bytes of the key · number (5) · segment (3) · offset (4) · size (3) · flags
//! (1: long key, 2: removed). Sorted by those 16 bytes, then by the length of the key.
//!
//! Fence `f` is the place of the first entry whose key begins with the 12 bits `f` or more. It
//! leaves a 4096th of the entries; keys are hashes, so the page is then found by interpolation,
//! mostly in one read. Keys that somebody made to be uneven cost a binary search, not more.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::Place;
use crate::block::BlockKey;
use crate::store::StoreError;

pub(super) const PAGE_BYTES: usize = 4096;
const ENTRY_BYTES: usize = 32;
const PAGE_ENTRIES: u64 = 127;
const CRC_AT: usize = PAGE_BYTES - 4;

const HEADER_BYTES: usize = 9 * PAGE_BYTES;
const MAGIC: &[u8; 16] = b"BCM index 1\n\0\0\0\0";
const FENCES_AT: usize = 32;
const FENCE_BITS: u32 = 12;
const BUCKETS: usize = 1 << FENCE_BITS;

/// After this many interpolated guesses the rest is halved: the keys are not as they should be.
const GUESSES: u32 = 3;

/// What is wrong with a page whose CRC does not fit.
pub(super) const BAD_PAGE: &str = "a page of the index is not what was written";

/// What a run is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    bytes: [u8; 16],
    long: bool,
}

impl Prefix {
    pub(super) fn of(key: &BlockKey) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&key.as_bytes()[..16]);
        Self {
            bytes,
            long: matches!(key, BlockKey::Long(_)),
        }
    }

    /// Whether this is not all of the key.
    pub(super) fn is_partial(&self) -> bool {
        self.long
    }

    fn leading_bits(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.bytes[..8]);
        u64::from_be_bytes(bytes)
    }

    fn bucket(&self) -> usize {
        (self.leading_bits() >> (64 - FENCE_BITS)) as usize
    }
}

/// What the index knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The record that says so: of the put, or of the removal.
    pub(super) number: u64,
    pub(super) place: Place,
    pub(super) removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) prefix: Prefix,
    pub(super) slot: Slot,
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut raw = [0; ENTRY_BYTES];
        let Slot {
            number,
            place,
            removed,
        } = &self.slot;
        raw[..16].copy_from_slice(&self.prefix.bytes);
        raw[16..21].copy_from_slice(&number.to_le_bytes()[..5]);
        raw[21..24].copy_from_slice(&place.segment.to_le_bytes()[..3]);
        raw[24..28].copy_from_slice(&place.offset.to_le_bytes());
        raw[28..31].copy_from_slice(&place.size.to_le_bytes()[..3]);
        raw[31] = u8::from(self.prefix.long) | u8::from(*removed) << 1;
        raw
    }

    fn decode(raw: &[u8; ENTRY_BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        Self {
            prefix: prefix_of(raw),
            slot: Slot {
                number: u64::from(word(16)) | u64::from(raw[20]) << 32,
                place: Place {
                    segment: word(20) >> 8,
                    offset: word(24),
                    size: word(28) & 0xff_ffff,
                },
                removed: raw[31] & 2 != 0,
            },
        }
    }
}

fn prefix_of(raw: &[u8; ENTRY_BYTES]) -> Prefix {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&raw[..16]);
    Prefix {
        bytes,
        long: raw[31] & 1 != 0,
    }
}

/// One page as it was last read: neighbours in a sorted batch of keys share it.
#[derive(Debug)]
pub(super) struct PageBuffer {
    page: Option<u64>,
    bytes: [u8; PAGE_BYTES],
}

impl Default for PageBuffer {
    fn default() -> Self {
        Self {
            page: None,
            bytes: [0; PAGE_BYTES],
        }
    }
}

impl PageBuffer {
    /// The entries of the page; the last page has fewer.
    fn entries(&self, count: usize) -> &[[u8; ENTRY_BYTES]] {
        let (entries, _) = self.bytes.as_chunks();
        &entries[..count]
    }
}

#[derive(Debug)]
pub(super) struct Run {
    file: File,
    path: PathBuf,
    /// The file's name in its folder.
    name: String,
    count: u64,
    fences: Vec<u64>,
}

impl Run {
    pub(super) fn open(folder: &Path, name: &str, store_id: u64) -> Result<Self, StoreError> {
        let path = folder.join(name);
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let mut header = vec![0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)
            .map_err(|error| read_error(&path, 0, error))?;
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let mut crc = [0; 4];
        crc.copy_from_slice(&header[HEADER_BYTES - 4..]);
        if header[..16] != MAGIC[..]
            || crc32fast::hash(&header[..HEADER_BYTES - 4]) != u32::from_le_bytes(crc)
        {
            let what = "it does not begin as an index does";
            return Err(StoreError::damaged(&path, 0, what));
        }
        if word(16) != store_id {
            let what = "it is the index of another store";
            return Err(StoreError::damaged(&path, 16, what));
        }
        let fences = (0..=BUCKETS).map(|f| word(FENCES_AT + f * 8)).collect();
        Ok(Self {
            count: word(24),
            fences,
            file,
            path,
            name: name.to_owned(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn pages(&self) -> u64 {
        self.count.div_ceil(PAGE_ENTRIES)
    }

    fn entries_in(&self, page: u64) -> usize {
        (self.count - page * PAGE_ENTRIES).min(PAGE_ENTRIES) as usize
    }

    fn load(&self, page: u64, buffer: &mut PageBuffer) -> Result<(), StoreError> {
        if buffer.page == Some(page) {
            return Ok(());
        }
        buffer.page = None;
        let at = HEADER_BYTES as u64 + page * PAGE_BYTES as u64;
        self.file
            .read_exact_at(&mut buffer.bytes, at)
            .map_err(|error| read_error(&self.path, at, error))?;
        if !page_is_intact(&buffer.bytes) {
            return Err(StoreError::damaged(&self.path, at, BAD_PAGE));
        }
        buffer.page = Some(page);
        Ok(())
    }

    /// The entries of a page, for a merge.
    pub(super) fn page(
        &self,
        page: u64,
        buffer: &mut PageBuffer,
        into: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        self.load(page, buffer)?;
        let entries = buffer.entries(self.entries_in(page));
        into.extend(entries.iter().map(Entry::decode));
        Ok(())
    }

    /// What this run knows of `prefix`. Where several keys share it, `is_it` tells which entry is
    /// meant.
    pub(super) fn find(
        &self,
        prefix: &Prefix,
        buffer: &mut PageBuffer,
        is_it: impl Fn(&Slot) -> Result<bool, StoreError>,
    ) -> Result<Option<Slot>, StoreError> {
        let bucket = prefix.bucket();
        let (first, last) = (self.fences[bucket], self.fences[bucket + 1]);
        if first >= last || last > self.count {
            return Ok(None);
        }
        // Entries with this prefix are within the pages `low..=high`.
        let (mut low, mut high) = (first / PAGE_ENTRIES, (last - 1) / PAGE_ENTRIES);
        let width = 1u64 << (64 - FENCE_BITS);
        let within = prefix.leading_bits() & (width - 1);
        let guess =
            first + ((u128::from(last - first) * u128::from(within)) >> width.ilog2()) as u64;
        let mut guess = (guess / PAGE_ENTRIES).clamp(low, high);
        let mut guesses = 0;
        loop {
            self.load(guess, buffer)?;
            let entries = buffer.entries(self.entries_in(guess));
            match entries.binary_search_by(|raw| prefix_of(raw).cmp(prefix)) {
                Ok(at) if !prefix.is_partial() => {
                    return Ok(Some(Entry::decode(&entries[at]).slot));
                }
                Ok(at) => {
                    return self.find_among_equals(prefix, guess, at, buffer, is_it);
                }
                Err(0) if guess > low => high = guess - 1,
                Err(at) if at == entries.len() && guess < high => low = guess + 1,
                Err(_) => return Ok(None),
            }
            guesses += 1;
            // The fences were right to a few pages, so the neighbour is the best next guess.
            guess = match guesses {
                ..GUESSES if high < guess => high,
                ..GUESSES => low,
                _ => low + (high - low) / 2,
            };
        }
    }

    /// Several long keys may begin alike, if only because somebody tried hard.
    fn find_among_equals(
        &self,
        prefix: &Prefix,
        page: u64,
        at: usize,
        buffer: &mut PageBuffer,
        is_it: impl Fn(&Slot) -> Result<bool, StoreError>,
    ) -> Result<Option<Slot>, StoreError> {
        let middle = page * PAGE_ENTRIES + at as u64;
        for step in [Ordering::Greater, Ordering::Less] {
            let mut index = middle;
            loop {
                self.load(index / PAGE_ENTRIES, buffer)?;
                let entries = buffer.entries(self.entries_in(index / PAGE_ENTRIES));
                let entry = Entry::decode(&entries[(index % PAGE_ENTRIES) as usize]);
                if entry.prefix != *prefix {
                    break;
                }
                if is_it(&entry.slot)? {
                    return Ok(Some(entry.slot));
                }
                match step {
                    Ordering::Greater if index + 1 < self.count => index += 1,
                    Ordering::Less if index > 0 => index -= 1,
                    _ => break,
                }
            }
        }
        Ok(None)
    }
}

fn page_is_intact(page: &[u8; PAGE_BYTES]) -> bool {
    let mut crc = [0; 4];
    crc.copy_from_slice(&page[CRC_AT..]);
    crc32fast::hash(&page[..CRC_AT]) == u32::from_le_bytes(crc)
}

fn read_error(path: &Path, at: u64, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::damaged(path, at, "the file ends too early"),
        _ => StoreError::io("read", path)(error),
    }
}

/// Writes a run, entry by entry.
pub(super) struct RunWriter {
    file: File,
    path: PathBuf,
    store_id: u64,
    /// Whole pages that wait to be written.
    pages: Vec<u8>,
    page: Vec<u8>,
    position: u64,
    count: u64,
    fences: Vec<u64>,
}

/// Pages are written this many bytes at a time.
const WRITE_BYTES: usize = 64 * PAGE_BYTES;

impl RunWriter {
    pub(super) fn create(folder: &Path, name: &str, store_id: u64) -> Result<Self, StoreError> {
        let path = folder.join(name);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        Ok(Self {
            file,
            path,
            store_id,
            pages: Vec::with_capacity(WRITE_BYTES),
            page: Vec::with_capacity(PAGE_BYTES),
            position: HEADER_BYTES as u64,
            count: 0,
            fences: Vec::with_capacity(BUCKETS + 1),
        })
    }

    /// Takes the next entry; they come sorted.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), StoreError> {
        while self.fences.len() <= entry.prefix.bucket() {
            self.fences.push(self.count);
        }
        self.page.extend_from_slice(&entry.encode());
        self.count += 1;
        if self.page.len() == PAGE_ENTRIES as usize * ENTRY_BYTES {
            self.end_page()?;
        }
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), StoreError> {
        self.page.resize(CRC_AT, 0);
        let crc = crc32fast::hash(&self.page);
        self.pages.append(&mut self.page);
        self.pages.extend_from_slice(&crc.to_le_bytes());
        if self.pages.len() >= WRITE_BYTES {
            self.write_pages()?;
        }
        Ok(())
    }

    fn write_pages(&mut self) -> Result<(), StoreError> {
        self.file
            .write_all_at(&self.pages, self.position)
            .map_err(StoreError::io("write", &self.path))?;
        self.position += self.pages.len() as u64;
        self.pages.clear();
        Ok(())
    }

    /// Ends the file and makes its content (not its name) durable. Returns the number of entries.
    pub(super) fn finish(mut self) -> Result<u64, StoreError> {
        if !self.page.is_empty() {
            self.end_page()?;
        }
        self.write_pages()?;
        self.fences.resize(BUCKETS + 1, self.count);
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&self.store_id.to_le_bytes());
        header.extend_from_slice(&self.count.to_le_bytes());
        for fence in &self.fences {
            header.extend_from_slice(&fence.to_le_bytes());
        }
        header.resize(HEADER_BYTES - 4, 0);
        let crc = crc32fast::hash(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        self.file
            .write_all_at(&header, 0)
            .map_err(StoreError::io("write", &self.path))?;
        self.file
            .sync_data()
            .map_err(StoreError::io("sync", &self.path))?;
        Ok(self.count)
    }
}

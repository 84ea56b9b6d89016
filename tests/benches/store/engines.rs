//! What is compared.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{IoSlice, Write};
use std::path::{Path, PathBuf};

use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};

/// A cache of this size for the engines that have one of their own.
const CACHE_BYTES: usize = 64 << 20;

pub trait Engine {
    fn put(&mut self, blocks: &[VerifiedBlock]);
    /// Makes durable what was put.
    fn flush(&mut self);
    /// The size of the block's payload, all of which was read.
    fn get(&self, key: &[u8]) -> Option<usize>;
    fn contains(&self, key: &[u8]) -> bool;
}

pub fn open(name: &str, folder: &Path) -> Box<dyn Engine> {
    let path = folder.join("engine");
    match name {
        "raw" => Box::new(Raw::open(&path)),
        "bcm" => Box::new(Bcm(
            EmbeddedStore::open(path, Access::ReadWrite).expect("open")
        )),
        "fjall" => Box::new(Fjall::open(&path)),
        "redb" => Box::new(Redb::open(&path)),
        "files" => Box::new(Files(path)),
        other => panic!("no engine {other}"),
    }
}

/// One file, and a list of places that is not counted as anybody's work.
struct Raw {
    file: File,
    places: File,
    end: u64,
    known: HashMap<Vec<u8>, (u64, usize)>,
}

impl Raw {
    fn open(path: &Path) -> Self {
        let open = |path: &Path| {
            File::options()
                .read(true)
                .create(true)
                .append(true)
                .open(path)
                .expect("open")
        };
        let places = path.with_extension("places");
        let known = fs::read(&places)
            .unwrap_or_default()
            .chunks_exact(32)
            .map(|entry| {
                let word = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("8"));
                (entry[..16].to_vec(), (word(16), word(24) as usize))
            })
            .collect();
        Self {
            file: open(path),
            places: open(&places),
            end: 0,
            known,
        }
    }
}

impl Engine for Raw {
    fn put(&mut self, blocks: &[VerifiedBlock]) {
        let mut places = Vec::new();
        // In the sizes that the kernel takes best; see the store's segments.
        for some in blocks.chunks((320_000 / blocks[0].payload().len()).clamp(1, 1024)) {
            let mut pieces: Vec<IoSlice<'_>> = some
                .iter()
                .map(|block| IoSlice::new(block.payload()))
                .collect();
            let mut pieces = &mut pieces[..];
            while !pieces.is_empty() {
                let count = self.file.write_vectored(pieces).expect("write");
                IoSlice::advance_slices(&mut pieces, count);
            }
        }
        for block in blocks {
            places.extend_from_slice(block.key().as_bytes());
            places.extend_from_slice(&self.end.to_le_bytes());
            places.extend_from_slice(&(block.payload().len() as u64).to_le_bytes());
            self.end += block.payload().len() as u64;
        }
        self.places.write_all(&places).expect("write");
    }

    fn flush(&mut self) {
        self.file.sync_data().expect("sync");
    }

    fn get(&self, key: &[u8]) -> Option<usize> {
        let (offset, size) = self.known.get(key)?;
        let mut payload = Vec::with_capacity(*size);
        let spare = rustix::buffer::spare_capacity(&mut payload);
        rustix::io::pread(&self.file, spare, *offset).expect("read");
        Some(payload.len())
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.known.contains_key(key)
    }
}

struct Bcm(EmbeddedStore);

impl Engine for Bcm {
    fn put(&mut self, blocks: &[VerifiedBlock]) {
        self.0.put(blocks).expect("put");
    }

    fn flush(&mut self) {
        self.0.flush().expect("flush");
    }

    fn get(&self, key: &[u8]) -> Option<usize> {
        let key = BlockKey::from_bytes(key).expect("a key");
        let found = self.0.get(&key).expect("get");
        found.map(|(_, payload)| payload.len())
    }

    fn contains(&self, key: &[u8]) -> bool {
        let key = BlockKey::from_bytes(key).expect("a key");
        self.0.contains(&[key]).expect("contains")[0]
    }
}

struct Fjall {
    database: fjall::Database,
    blocks: fjall::Keyspace,
}

impl Fjall {
    fn open(path: &Path) -> Self {
        let database = fjall::Database::builder(path)
            .cache_size(CACHE_BYTES as u64)
            .journal_compression(fjall::CompressionType::None)
            .open()
            .expect("open");
        let separation =
            fjall::KvSeparationOptions::default().compression(fjall::CompressionType::None);
        let blocks = database
            .keyspace("blocks", || {
                fjall::KeyspaceCreateOptions::default().with_kv_separation(Some(separation))
            })
            .expect("keyspace");
        Self { database, blocks }
    }
}

impl Engine for Fjall {
    fn put(&mut self, blocks: &[VerifiedBlock]) {
        let mut batch = self.database.batch();
        for block in blocks {
            batch.insert(&self.blocks, block.key().as_bytes(), &block.payload()[..]);
        }
        batch.commit().expect("commit");
    }

    fn flush(&mut self) {
        self.database
            .persist(fjall::PersistMode::SyncData)
            .expect("persist");
    }

    fn get(&self, key: &[u8]) -> Option<usize> {
        self.blocks.get(key).expect("get").map(|value| value.len())
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.blocks.contains_key(key).expect("contains")
    }
}

const BLOCKS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("blocks");

struct Redb(redb::Database);

impl Redb {
    fn open(path: &Path) -> Self {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        Self(builder.create(path).expect("open"))
    }

    fn commit(&self, blocks: &[VerifiedBlock], durability: redb::Durability) {
        let mut write = self.0.begin_write().expect("begin");
        write.set_durability(durability).expect("durability");
        {
            let mut table = write.open_table(BLOCKS).expect("table");
            for block in blocks {
                table
                    .insert(block.key().as_bytes(), &block.payload()[..])
                    .expect("insert");
            }
        }
        write.commit().expect("commit");
    }

    fn with<T>(&self, key: &[u8], look: impl Fn(Option<&[u8]>) -> T) -> T {
        use redb::ReadableDatabase;
        let read = self.0.begin_read().expect("begin");
        let table = read.open_table(BLOCKS).expect("table");
        let found = table.get(key).expect("get");
        look(found.as_ref().map(|guard| guard.value()))
    }
}

impl Engine for Redb {
    fn put(&mut self, blocks: &[VerifiedBlock]) {
        self.commit(blocks, redb::Durability::None);
    }

    fn flush(&mut self) {
        self.commit(&[], redb::Durability::Immediate);
    }

    fn get(&self, key: &[u8]) -> Option<usize> {
        // Others hand out a copy, too.
        self.with(key, |value| value.map(|value| value.to_vec().len()))
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.with(key, |value| value.is_some())
    }
}

/// A file a block, in 4096 folders.
struct Files(PathBuf);

impl Files {
    fn path(&self, key: &[u8]) -> PathBuf {
        let hex = bcm_core::digest::to_hex(key);
        self.0.join(&hex[..3]).join(hex)
    }
}

impl Engine for Files {
    fn put(&mut self, blocks: &[VerifiedBlock]) {
        for block in blocks {
            let path = self.path(block.key().as_bytes());
            fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            fs::write(path, block.payload()).expect("write");
        }
    }

    fn flush(&mut self) {
        // One call for all files: the kindest way.
        let folder = File::open(&self.0).expect("open");
        rustix::fs::syncfs(folder).expect("sync");
    }

    fn get(&self, key: &[u8]) -> Option<usize> {
        fs::read(self.path(key)).ok().map(|payload| payload.len())
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.path(key).exists()
    }
}

//! Verifying a store that is not in the system's cache.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};
use bcm_hub_sync::verify::{VerifyOptions, verify};
use rustix::fs::{Advice, fadvise};
use tokio_util::sync::CancellationToken;

use crate::blocks::hub_blocks;

const BLOCKS: u32 = 40_000;
const ROUNDS: usize = 3;

/// Bytes that one thread hashes at once.
const PIECE: usize = 2 << 20;

pub fn run() {
    let blocks = hub_blocks(BLOCKS);
    let bytes: usize = blocks.iter().map(|block| block.payload().len()).sum();
    let megabytes = bytes as f64 / 1e6;
    let data = crate::folder();
    let layout = Layout::new(data.path());
    std::fs::create_dir_all(layout.users()).expect("a folder");
    let store = EmbeddedStore::open(layout.blocks(), Access::ReadWrite).expect("a store");
    for some in blocks.chunks(1000) {
        store.put(some).expect("there is room");
    }
    store.flush().expect("the disk works");
    let plain = data.path().join("plain");
    let mut file = File::create(&plain).expect("a file");
    for block in &blocks {
        file.write_all(block.payload()).expect("there is room");
    }
    file.sync_all().expect("the disk works");

    let store: Arc<dyn BlockStore> = Arc::new(store);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let [mut hashing, mut reading, mut cold, mut warm] = [0.0_f64; 4];
    for _ in 0..ROUNDS {
        hashing = hashing.max(megabytes / hashed(&blocks));
        forget(&plain);
        reading = reading.max(megabytes / read(&plain));
        for (rate, is_cold) in [(&mut cold, true), (&mut warm, false)] {
            if is_cold {
                for entry in std::fs::read_dir(layout.blocks())
                    .expect("a folder")
                    .flatten()
                {
                    forget(&entry.path());
                }
            }
            let started = Instant::now();
            let (options, progress) = (VerifyOptions::default(), bcm_core::progress::none());
            let (store, cancel) = (Arc::clone(&store), CancellationToken::new());
            let verifying = verify(&layout, store, &options, progress, cancel);
            let report = runtime.block_on(verifying).expect("it can be read");
            assert_eq!(report.blocks, u64::from(BLOCKS));
            assert_eq!(report.damaged_blocks.count, 0);
            *rate = rate.max(megabytes / started.elapsed().as_secs_f64());
        }
    }
    println!("verify: {BLOCKS} blocks, {megabytes:.0} MB; best of {ROUNDS} rounds");
    println!("  hashing from memory, all processors  {hashing:>7.0} MB/s");
    println!("  reading a file from the disk         {reading:>7.0} MB/s");
    let lower = hashing.min(reading);
    println!(
        "  bcm, from the disk                   {cold:>7.0} MB/s  {:.2} of the lower",
        cold / lower
    );
    println!(
        "  bcm, from the cache                  {warm:>7.0} MB/s  {:.2} of hashing\n",
        warm / hashing
    );
}

/// Takes a file out of the system's cache.
fn forget(path: &Path) {
    let file = File::open(path).expect("a file");
    fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
}

/// How long the file takes to be read, in seconds.
fn read(path: &Path) -> f64 {
    let mut file = File::open(path).expect("a file");
    let mut buffer = vec![0; 1 << 20];
    let started = Instant::now();
    while file.read(&mut buffer).expect("the disk works") > 0 {}
    started.elapsed().as_secs_f64()
}

/// How long all processors take to hash the blocks, in seconds.
fn hashed(blocks: &[VerifiedBlock]) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for part in blocks.chunks(blocks.len().div_ceil(crate::processors())) {
            scope.spawn(move || {
                let mut rest = part;
                while !rest.is_empty() {
                    let mut bytes = 0;
                    let fits = |block: &&VerifiedBlock| {
                        bytes += block.payload().len();
                        bytes <= PIECE
                    };
                    let count = rest.iter().take_while(fits).count().max(1);
                    let (now, later) = rest.split_at(count);
                    let pairs: Vec<_> = now.iter().map(|b| (*b.key(), &b.payload()[..])).collect();
                    assert!(BlockKey::verify_many(&pairs).into_iter().all(|good| good));
                    rest = later;
                }
            });
        }
    });
    started.elapsed().as_secs_f64()
}

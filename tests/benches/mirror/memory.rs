//! The memory that a million blocks take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::gc::{GcOptions, gc};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};
use bcm_hub_sync::sync::{BlockMode, SyncConfig, sync};
use bcm_hub_sync::verify::{VerifyOptions, verify};
use bcm_tests::zdb_port::serve_blocks;
use bcm_tests::{fixtures, origin::Origin};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::process::{Own, peak};

const BLOCKS: u32 = 1_000_000;

/// Bytes of each; the number of blocks is what memory must not depend on.
const SIZE: usize = 1000;

/// What is promised, in MiB.
const MOST: u64 = 256;

pub fn run() {
    let origin = Origin::recorded();
    // Recorded replies would say that there are fewer blocks.
    origin.edit_blocks(|_| ());
    let runtime = Runtime::new().expect("a runtime");
    let zdb = source(&runtime);
    let data = crate::folder();
    let (data, hub, zdb) = (
        data.path().to_string_lossy(),
        origin.url(),
        format!("zdb://{zdb}/default"),
    );
    println!("memory: {BLOCKS} blocks of {SIZE} bytes, each step in a process of its own");
    for step in ["sync", "sync again", "verify", "gc"] {
        let started = Instant::now();
        let mut process = Own::start(&[step, &data, &hub, &zdb]);
        let said = process.line();
        let (most, what) = said.split_once(' ').expect("a number and a text");
        let most: u64 = most.parse().expect("a number");
        let word = if most < MOST { "under" } else { "OVER" };
        println!(
            "  {step:<11} {most:>4} MiB at most, {word} {MOST}; {:>6.1} s; {what}",
            started.elapsed().as_secs_f64()
        );
    }
    println!();
}

/// A 0-db with many small blocks and those that the recorded flists name.
fn source(runtime: &Runtime) -> SocketAddr {
    let store = MemoryStore::default();
    let recorded: Vec<VerifiedBlock> = fixtures::blocks()
        .iter()
        .filter_map(|block| {
            let key = BlockKey::from_bytes(&block.key_bytes()).ok()?;
            VerifiedBlock::verify(key, block.payload().into(), 1_700_000_000).ok()
        })
        .collect();
    store.put(&recorded).expect("memory takes it");
    for first in (0..BLOCKS).step_by(1000) {
        let blocks: Vec<VerifiedBlock> = (first..first + 1000)
            .map(|number| {
                let payload = number.to_le_bytes().repeat(SIZE / 4);
                VerifiedBlock::new(payload.into(), 1_700_000_000).expect("it is small")
            })
            .collect();
        store.put(&blocks).expect("memory takes it");
    }
    serve_blocks(runtime, store)
}

/// One step: `DATA HUB ZDB`. Says the most memory that it had, and what it did.
pub fn child(step: &str, arguments: &[String]) {
    let [data, hub, zdb] = arguments else {
        panic!("DATA HUB ZDB, not {arguments:?}");
    };
    let layout = Layout::new(data.as_str());
    let runtime = Runtime::new().expect("a runtime");
    let (progress, cancel) = (bcm_core::progress::none(), CancellationToken::new());
    let store = EmbeddedStore::open(layout.blocks(), Access::ReadWrite).expect("a store");
    let store: Arc<dyn BlockStore> = Arc::new(store);
    let what = match step {
        "sync" | "sync again" => {
            let mut config = SyncConfig::new(vec![hub.parse().expect("a URL")]);
            config.upstream_zdb = vec![zdb.parse().expect("an address")];
            config.blocks = BlockMode::All;
            let syncing = sync(&layout, &config, Arc::clone(&store), progress, cancel);
            let report = runtime.block_on(syncing).expect("the origin is up");
            format!("{} blocks fetched", report.counts.blocks)
        }
        "verify" => {
            let options = VerifyOptions::default();
            let verifying = verify(&layout, Arc::clone(&store), &options, progress, cancel);
            let report = runtime.block_on(verifying).expect("it can be read");
            let bad = report.damaged_blocks.count;
            format!("{} blocks hashed, {bad} damaged", report.blocks)
        }
        "gc" => {
            // It refuses to take a mirror of a whole namespace apart. Here it is to.
            std::fs::remove_file(layout.scan_state()).expect("the sync left it");
            let options = GcOptions::default();
            let collecting = gc(&layout, Arc::clone(&store), &options, progress, cancel);
            let report = runtime.block_on(collecting).expect("it can be read");
            format!("{} blocks removed, {} kept", report.removed, report.kept)
        }
        other => panic!("no step {other}"),
    };
    println!("{} {what}", peak(std::process::id()));
}

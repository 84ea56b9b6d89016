//! Work on a mirror that ends at a step of its own: `sync_until STEP WHAT WORK DATA HUB ZDB`.
//!
//! WORK is `sync` (of the whole namespace), `restore` (of the oldest snapshot) or `gc`. A step is
//! whatever it does that can be seen: an event of its progress, a call of its store. At the step
//! number STEP it does WHAT:
//!
//! - `nothing`: goes on; the number of steps is printed at the end;
//! - `kill`: kills itself by SIGKILL;
//! - `gone`: prints `gone` and waits for a line on stdin, in which time the upstream goes away;
//! - `full`: fills the file system of DATA, and makes room again when the work has ended.
//!
//! For tests: the product has no such hooks, and needs none.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bcm_core::progress::{Level, Outcome, Progress, TaskId, Unit};
use bcm_core::retry::RetryPolicy;
use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::gc::{GcOptions, gc};
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::snapshots;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::store::{
    BlockInfo, BlockStore, Cursor, Direction, StoreError, StoreStats, VerifiedBlock,
};
use bcm_hub_sync::sync::{BlockMode, SyncConfig, sync};
use bytes::Bytes;

struct Steps {
    count: AtomicU64,
    last: u64,
    what: String,
    filler: PathBuf,
}

impl Steps {
    fn step(&self) {
        if self.count.fetch_add(1, Ordering::SeqCst) + 1 != self.last {
            return;
        }
        match self.what.as_str() {
            "kill" => {
                let own = rustix::process::getpid();
                let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            }
            "gone" => {
                println!("gone");
                let _ = std::io::stdout().flush();
                let _ = std::io::stdin().lock().read_line(&mut String::new());
            }
            "full" => fill(&self.filler),
            _ => {}
        }
    }
}

fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("a file");
    for size in [1 << 16, 1 << 12, 1] {
        let piece = vec![1; size];
        while file.write_all(&piece).is_ok() {}
    }
}

struct Watch(Arc<Steps>);

impl Progress for Watch {
    fn started(&self, _: &str, _: Unit, _: Option<u64>) -> TaskId {
        self.0.step();
        TaskId(0)
    }
    fn advanced(&self, _: TaskId, _: u64, _: u64) {
        self.0.step();
    }
    fn finished(&self, _: TaskId, _: &Outcome) {
        self.0.step();
    }
    fn note(&self, _: Level, _: &str) {
        self.0.step();
    }
}

/// A store whose every write is a step before and after it.
struct Stepping(EmbeddedStore, Arc<Steps>);

impl BlockStore for Stepping {
    fn get(&self, key: &BlockKey) -> Result<Option<(BlockInfo, Bytes)>, StoreError> {
        self.0.get(key)
    }
    fn info(&self, key: &BlockKey) -> Result<Option<BlockInfo>, StoreError> {
        self.0.info(key)
    }
    fn contains(&self, keys: &[BlockKey]) -> Result<Vec<bool>, StoreError> {
        self.1.step();
        self.0.contains(keys)
    }
    fn put(&self, blocks: &[VerifiedBlock]) -> Result<u64, StoreError> {
        // One by one, so that there is a step between any two.
        let mut new = 0;
        for block in blocks {
            self.1.step();
            new += self.0.put(std::slice::from_ref(block))?;
        }
        self.1.step();
        Ok(new)
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.1.step();
        self.0.flush()?;
        self.1.step();
        Ok(())
    }
    fn remove(&self, keys: &[BlockKey]) -> Result<u64, StoreError> {
        let mut removed = 0;
        for keys in keys.chunks(16) {
            self.1.step();
            removed += self.0.remove(keys)?;
        }
        self.1.step();
        Ok(removed)
    }
    fn scan(
        &self,
        after: Option<&Cursor>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<BlockInfo>, StoreError> {
        self.0.scan(after, direction, limit)
    }
    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.0.stats()
    }
    fn generation(&self) -> Result<u64, StoreError> {
        self.0.generation()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [last, what, work, data, hub, zdb] = &arguments[..] else {
        eprintln!("sync_until STEP nothing|kill|gone|full sync|restore|gc DATA HUB ZDB");
        std::process::exit(2);
    };
    let filler = Path::new(data).with_file_name("filler");
    let steps = Arc::new(Steps {
        count: AtomicU64::new(0),
        last: last.parse().expect("a number"),
        what: what.clone(),
        filler: filler.clone(),
    });
    let mut config = SyncConfig::new(vec![hub.parse().expect("a URL")]);
    config.upstream_zdb = vec![zdb.parse().expect("an address")];
    config.blocks = BlockMode::All;
    config.retry = RetryPolicy {
        attempts: 2,
        first: Duration::from_millis(1),
        longest: Duration::from_millis(2),
    };
    config.fetch.retry = config.retry.clone();
    let layout = Layout::new(data.as_str());
    let store = EmbeddedStore::open(layout.blocks(), Access::ReadWrite).expect("a store");
    let store = Arc::new(Stepping(store, Arc::clone(&steps)));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cancel = tokio_util::sync::CancellationToken::new();
    let progress = Arc::new(Watch(Arc::clone(&steps)));
    let ended = match work.as_str() {
        "restore" => restore(&layout, &*store, &*progress),
        "gc" => runtime
            .block_on(gc(&layout, store, &garbage(), progress, cancel))
            .map(|report| format!("{} removed", report.removed))
            .map_err(|error| error.to_string()),
        _ => runtime
            .block_on(sync(&layout, &config, store, progress, cancel))
            .map(|report| format!("{:?}", report.outcome))
            .map_err(|error| error.to_string()),
    };
    let _ = std::fs::remove_file(&filler);
    match ended {
        Ok(report) => println!("{report}"),
        Err(error) => println!("failed: {error}"),
    }
    println!("steps {}", steps.count.load(Ordering::SeqCst));
}

/// Takes the mirror back to its oldest snapshot.
fn restore(
    layout: &Layout,
    store: &dyn BlockStore,
    progress: &dyn Progress,
) -> Result<String, String> {
    let names = snapshots::list(layout).map_err(|error| error.to_string())?;
    let oldest = names.first().ok_or("there is no snapshot")?;
    snapshots::restore(layout, &oldest.name, store, false, false, progress)
        .map(|restored| format!("restored {}", restored.name))
        .map_err(|error| error.to_string())
}

/// All that no flist names, at once.
fn garbage() -> GcOptions {
    GcOptions {
        grace: Duration::ZERO,
        only_named: true,
        ..GcOptions::default()
    }
}

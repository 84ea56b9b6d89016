//! The texts of `INFO` and `NSINFO`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::store::StoreStats;

/// The version of 0-db whose protocol this is.
const REVISION: &str = "2.0.7";

/// What 0-db's index takes for a key of 16 bytes.
const INDEX_ENTRY: u64 = 80;

/// Counts since the start.
pub(super) struct Counters {
    instance: u32,
    boot: Duration,
    started: Instant,
    clients: AtomicU64,
    executed: AtomicU64,
    failed: AtomicU64,
    denied: AtomicU64,
    read_failed: AtomicU64,
    read_bytes: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            instance: random() as u32,
            boot: since_1970(),
            started: Instant::now(),
            clients: zero(),
            executed: zero(),
            failed: zero(),
            denied: zero(),
            read_failed: zero(),
            read_bytes: zero(),
            received: zero(),
            sent: zero(),
        }
    }

    pub(super) fn client(&self) {
        self.clients.fetch_add(1, Relaxed);
    }

    pub(super) fn executed(&self) {
        self.executed.fetch_add(1, Relaxed);
    }

    /// A request was refused with `text`.
    pub(super) fn refused(&self, text: &str) {
        match text {
            "Command not supported" => self.failed.fetch_add(1, Relaxed),
            "Permission denied" => {
                self.executed();
                self.denied.fetch_add(1, Relaxed)
            }
            _ => self.executed.fetch_add(1, Relaxed),
        };
    }

    pub(super) fn read(&self, bytes: usize) {
        self.read_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn read_failed(&self) {
        self.read_failed.fetch_add(1, Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
    }

    /// The text of `INFO`, field by field as 0-db has it.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "# server\nserver_name: 0-db (zdb)\nserver_revision: {REVISION}\n\
             engine_revision: {REVISION}\ninstance_id: {}\nboot_time: {}\nuptime: {}\n\n\
             # clients\nclients_lifetime: {}\n\n\
             # internals\nsequential_key_size: 8\ndata_version: 3\nindex_version: 4\n\n# stats\n",
            self.instance,
            self.boot.as_secs(),
            self.started.elapsed().as_secs(),
            self.clients.load(Relaxed),
        );
        for (field, number) in [
            ("commands_executed", self.executed.load(Relaxed)),
            ("commands_failed", self.failed.load(Relaxed)),
            ("commands_unauthorized", self.denied.load(Relaxed)),
            ("index_disk_read_failed", 0),
            ("index_disk_write_failed", 0),
            ("data_disk_read_failed", self.read_failed.load(Relaxed)),
            ("data_disk_write_failed", 0),
        ] {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{field}: {number}");
        }
        for (field, bytes) in [
            ("index_disk_read", 0),
            ("index_disk_write", 0),
            ("data_disk_read", self.read_bytes.load(Relaxed)),
            ("data_disk_write", 0),
            ("network_rx", self.received.load(Relaxed)),
            ("network_tx", self.sent.load(Relaxed)),
        ] {
            sizes(&mut text, field, bytes);
        }
        text
    }
}

/// `FIELD_bytes` and `FIELD_mb`.
fn sizes(text: &mut String, field: &str, bytes: u64) {
    let _ = writeln!(
        text,
        "{field}_bytes: {bytes}\n{field}_mb: {:.2}",
        bytes as f64 / 1_048_576.0
    );
}

/// The text of `NSINFO`: a public namespace with a password, which keeps keys that users choose.
pub(super) fn namespace(name: &str, stats: &StoreStats, free_space_of: Option<&Path>) -> String {
    let mut text = format!(
        "# namespace\nname: {name}\nentries: {}\npublic: yes\nworm: no\nlocked: no\n\
         password: yes\n",
        stats.blocks
    );
    sizes(&mut text, "data_size", stats.payload_bytes);
    let index = stats.blocks * INDEX_ENTRY;
    let _ = write!(
        text,
        "data_limits_bytes: 0\nindex_size_bytes: {index}\nindex_size_kb: {:.2}\n\
         next_internal_id: 0x{:016x}\nmode: userkey\nstats_index_io_errors: 0\n\
         stats_index_io_error_last: 0\nstats_index_faults: 0\nstats_data_io_errors: 0\n\
         stats_data_io_error_last: 0\nstats_data_faults: 0\n",
        index as f64 / 1024.0,
        stats.blocks.swap_bytes(),
    );
    let space = free_space_of.and_then(|folder| rustix::fs::statvfs(folder).ok());
    if let Some(space) = space {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        sizes(&mut text, "index_disk_freespace", free);
        sizes(&mut text, "data_disk_freespace", free);
    }
    text
}

/// The time since 1970; zero on a clock that is before.
pub(super) fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A number that differs each time. Nothing secret rests on it.
pub(super) fn random() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(since_1970())
}

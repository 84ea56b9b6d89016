//! What is measured.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bcm_bootstrap_sync::layout::Layout;
use bcm_bootstrap_sync::report::{SyncOutcome, SyncReport};
use bcm_bootstrap_sync::sync::{SyncConfig, sync};
use bcm_core::digest::Sha256Hasher;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::source::{KERNELS, SIZE, name};
use super::timed;

/// So much in so long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    bytes: u64,
    time: Duration,
}

impl Rate {
    fn of(bytes: u64, work: impl FnOnce()) -> Self {
        let (time, ()) = timed(work);
        Self { bytes, time }
    }

    /// Bytes.
    pub fn per_second(self) -> f64 {
        match self.bytes {
            0 => 0.0,
            bytes => bytes as f64 / self.time.as_secs_f64(),
        }
    }

    pub fn seconds(self) -> f64 {
        self.time.as_secs_f64()
    }

    /// Keeps the better of the two.
    pub fn better(&mut self, other: Self) {
        if other.per_second() > self.per_second() {
            *self = other;
        }
    }
}

/// Downloads kernels one after the other on one connection and throws them away. All requests are
/// sent at once.
fn download(address: SocketAddr, numbers: &[u64]) {
    let stream = TcpStream::connect(address).expect("the source listens");
    stream.set_nodelay(true).expect("a socket option");
    let requests: String = numbers
        .iter()
        .map(|number| format!("GET /kernel/{} HTTP/1.1\r\nHost: x\r\n\r\n", name(*number)))
        .collect();
    (&stream).write_all(requests.as_bytes()).expect("it reads");
    let mut stream = BufReader::with_capacity(256 * 1024, stream);
    for _ in numbers {
        let mut length = None;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("a head");
            let line = line.trim_end().to_ascii_lowercase();
            match line.strip_prefix("content-length:") {
                Some(bytes) => length = bytes.trim().parse().ok(),
                None if line.is_empty() => break,
                None => {}
            }
        }
        assert_eq!(length, Some(SIZE), "a whole kernel");
        let mut left = SIZE;
        while left > 0 {
            let here = stream.fill_buf().expect("the source sends").len() as u64;
            assert_ne!(here, 0, "the source closed the connection");
            let taken = here.min(left);
            stream.consume(usize::try_from(taken).expect("a buffer's size"));
            left -= taken;
        }
    }
}

/// All kernels over so many connections.
pub fn raw(address: SocketAddr, connections: u64) -> Rate {
    Rate::of(KERNELS * SIZE, || {
        std::thread::scope(|scope| {
            for first in 0..connections {
                let step = usize::try_from(connections).expect("a few");
                let numbers: Vec<u64> = (first..KERNELS).step_by(step).collect();
                scope.spawn(move || download(address, &numbers));
            }
        });
    })
}

/// The same kernel for each of so many clients.
pub fn raw_clients(address: SocketAddr, clients: u64) -> Rate {
    Rate::of(clients * SIZE, || {
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(move || download(address, &[0]));
            }
        });
    })
}

/// What has to be done with the bytes here, whatever the network does: hashed, written, flushed.
pub fn written(folder: &Path) -> Rate {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let bytes = vec![0; 256 * 1024];
    Rate::of(KERNELS * SIZE, || {
        for number in 0..KERNELS {
            let mut hasher = Sha256Hasher::default();
            let mut file = File::create(folder.path().join(name(number))).expect("a file");
            let mut left = SIZE;
            while left > 0 {
                let piece = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                hasher.update(&bytes[..piece]);
                file.write_all(&bytes[..piece]).expect("room");
                left -= piece as u64;
            }
            file.sync_all().expect("a disk");
            std::hint::black_box(hasher.finish());
        }
    })
}

/// A sync from nothing, and how long another one takes, which has nothing to do.
pub fn synced(
    runtime: &Runtime,
    folder: &Path,
    upstream: SocketAddr,
    parallel: usize,
) -> (Rate, Duration) {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let layout = Layout::new(folder.path());
    let url = format!("http://{upstream}/").parse().expect("a URL");
    let mut config = SyncConfig::new(vec![url]);
    config.parallel = parallel;
    let run = || -> SyncReport {
        let (none, cancel) = (bcm_core::progress::none(), CancellationToken::new());
        let report = runtime.block_on(sync(&layout, &config, none, cancel));
        report.expect("the source is up")
    };
    let mut report = None;
    let first = Rate::of(KERNELS * SIZE, || report = Some(run()));
    let report = report.expect("it ran");
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!(report.counts.bytes, KERNELS * SIZE, "{report:?}");
    let (second, report) = timed(run);
    assert!(report.nothing_to_do, "{report:?}");
    (first, second)
}

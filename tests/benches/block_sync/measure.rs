//! What is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};
use bcm_hub_sync::sync::blocks::{FetchOptions, fetch_blocks};
use bcm_hub_sync::zdb::ZdbAddress;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// So much in so long.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    blocks: u64,
    bytes: u64,
    time: Duration,
    /// Processor time of this process and the source's.
    cpu: Duration,
}

impl Rate {
    pub fn per_second(self) -> f64 {
        self.blocks as f64 / self.time.as_secs_f64()
    }

    pub fn megabytes_per_second(self) -> f64 {
        self.bytes as f64 / 1e6 / self.time.as_secs_f64()
    }

    pub fn cpu_per_gigabyte(self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / self.bytes as f64
    }

    /// Runs `measured` and adds the processor time that it took, here and in the process
    /// `source`.
    pub fn with_cpu(source: u32, measured: impl FnOnce() -> Self) -> Self {
        let before = cpu_time(source);
        let rate = measured();
        Self {
            cpu: cpu_time(source).saturating_sub(before),
            ..rate
        }
    }

    /// Keeps the better of the two.
    pub fn better(&mut self, other: Self) {
        if self.blocks == 0 || other.per_second() > self.per_second() {
            *self = other;
        }
    }
}

/// User and system time of this process and of `other`.
fn cpu_time(other: u32) -> Duration {
    let ticks: u64 = ["self".to_owned(), other.to_string()]
        .iter()
        .filter_map(|process| std::fs::read_to_string(format!("/proc/{process}/stat")).ok())
        .filter_map(|stat| {
            // The fields are counted from behind the name, which may have spaces.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
        })
        .sum();
    // A tick is a hundredth of a second on every Linux that this runs on.
    Duration::from_millis(ticks * 10)
}

/// Where synced blocks go.
#[derive(Debug, Clone, Copy)]
pub enum Store {
    Memory,
    Embedded,
}

fn request(out: &mut Vec<u8>, command: &str, key: &BlockKey) {
    let key = key.as_bytes();
    write!(
        out,
        "*2\r\n${}\r\n{command}\r\n${}\r\n",
        command.len(),
        key.len()
    )
    .expect("memory takes it");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
}

/// Reads and throws away `bytes` bytes.
fn discard(stream: &mut TcpStream, mut bytes: u64) {
    let mut buffer = vec![0; 256 * 1024];
    while bytes > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(bytes).unwrap_or(usize::MAX));
        let count = stream
            .read(&mut buffer[..most])
            .expect("the source answers");
        assert_ne!(count, 0, "the source closed the connection");
        bytes -= count as u64;
    }
}

/// All blocks in pipelines, thrown away without a look at them: what the source and the link can
/// do.
pub fn raw(address: SocketAddr, blocks: &[VerifiedBlock], connections: usize) -> Rate {
    let started = Instant::now();
    let part = blocks.len().div_ceil(connections);
    std::thread::scope(|scope| {
        for blocks in blocks.chunks(part) {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).expect("the source listens");
                stream.set_nodelay(true).expect("a socket option");
                let mut requests = Vec::new();
                let mut expected = 0;
                for block in blocks {
                    request(&mut requests, "GET", block.key());
                    let size = block.payload().len();
                    expected += (format!("${size}\r\n").len() + size + 2) as u64;
                }
                let mut writing = stream.try_clone().expect("a second handle");
                std::thread::spawn(move || writing.write_all(&requests));
                discard(&mut stream, expected);
            });
        }
    });
    Rate {
        blocks: blocks.len() as u64,
        bytes: blocks.iter().map(|b| b.payload().len() as u64).sum(),
        time: started.elapsed(),
        ..Rate::default()
    }
}

/// The blocks' bytes one behind the other into one file, and a sync: what the disk can do.
pub fn disk(blocks: &[VerifiedBlock]) -> Rate {
    let payloads: Vec<&[u8]> = blocks.iter().map(|b| &b.payload()[..]).collect();
    let bytes = payloads.concat();
    let folder = super::folder();
    let started = Instant::now();
    let mut file = std::fs::File::create(folder.path().join("file")).expect("a file");
    for piece in bytes.chunks(512 * 1024) {
        file.write_all(piece).expect("there is room");
    }
    file.sync_all().expect("the disk works");
    Rate {
        blocks: blocks.len() as u64,
        bytes: bytes.len() as u64,
        time: started.elapsed(),
        ..Rate::default()
    }
}

/// What a script does for each block, one request at a time: two questions to the 0-db that it
/// writes to, which is near, and two to the one that it reads from, which is far.
pub fn one_at_a_time(far: SocketAddr, near: SocketAddr, keys: &[BlockKey]) -> Rate {
    let connect = |address| {
        let stream = TcpStream::connect(address).expect("the source listens");
        stream.set_nodelay(true).expect("a socket option");
        stream
    };
    let (mut far, mut near) = (connect(far), connect(near));
    let mut bytes = 0;
    let started = Instant::now();
    for key in keys {
        ask(&mut near, "EXISTS", key);
        bytes += ask(&mut far, "GET", key);
        ask(&mut far, "KEYTIME", key);
        ask(&mut near, "LENGTH", key);
    }
    Rate {
        blocks: keys.len() as u64,
        bytes,
        time: started.elapsed(),
        ..Rate::default()
    }
}

/// One request and its whole reply; how many bytes of payload that has.
fn ask(stream: &mut TcpStream, command: &str, key: &BlockKey) -> u64 {
    let mut out = Vec::new();
    request(&mut out, command, key);
    stream.write_all(&out).expect("the source listens");
    let mut reply = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut chunk).expect("the source answers");
        assert_ne!(count, 0, "the source closed the connection");
        reply.extend_from_slice(&chunk[..count]);
        let Some(end) = reply.windows(2).position(|pair| pair == b"\r\n") else {
            continue;
        };
        if reply[0] != b'$' {
            return 0;
        }
        let size = std::str::from_utf8(&reply[1..end]).expect("a length");
        let size: usize = size.parse().expect("the block is there");
        if reply.len() >= end + 2 + size + 2 {
            return size as u64;
        }
    }
}

/// BCM's sync: pipelined, verified, stored and flushed.
pub fn synced(
    runtime: &Runtime,
    address: SocketAddr,
    keys: &[BlockKey],
    store: Store,
    timestamps: bool,
) -> Rate {
    let folder = super::folder();
    let store: Arc<dyn BlockStore> = match store {
        Store::Memory => Arc::new(MemoryStore::default()),
        Store::Embedded => Arc::new(
            EmbeddedStore::open(folder.path().join("blocks"), Access::ReadWrite).expect("a store"),
        ),
    };
    let source =
        ZdbAddress::new(address.ip().to_string(), address.port(), "default").expect("an address");
    let options = FetchOptions {
        timestamps,
        ..FetchOptions::new(vec![source])
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let keys = keys.to_vec();
    let started = Instant::now();
    let report = runtime
        .block_on(async move {
            tokio::spawn(async move {
                for keys in keys.chunks(1000) {
                    if sender.send(keys.to_vec()).await.is_err() {
                        return;
                    }
                }
            });
            let progress = bcm_core::progress::none();
            fetch_blocks(
                &options,
                receiver,
                store,
                progress,
                CancellationToken::new(),
            )
            .await
        })
        .expect("the source is up");
    let time = started.elapsed();
    assert_eq!(report.missing, 0, "{report:?}");
    Rate {
        blocks: report.fetched,
        bytes: report.bytes,
        time,
        ..Rate::default()
    }
}

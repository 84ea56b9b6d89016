//! The source of blocks: a process of its own with a 0-db, proxies that delay, BCM's own server over
//! the embedded store, and a plain port that sends the same replies out of memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};
use bcm_hub_sync::zdb::ZdbAddress;
use bcm_hub_sync::zdb::client::{ClientOptions, ZdbClient};
use bcm_hub_sync::zdb::resp::Reply;
use bcm_tests::delay_proxy::{DelayProxy, GIGABIT};
use bcm_tests::zdb_port::serve_blocks;

use super::blocks::hub_blocks;
use super::{BLOCKS, DELAY, loopback};

/// The running source; it ends when dropped.
pub struct Source {
    process: Child,
    /// What answers.
    pub what: String,
    pub direct: SocketAddr,
    pub delayed: SocketAddr,
    /// Delayed, and no faster than [`GIGABIT`].
    pub narrow: SocketAddr,
    pub embedded: SocketAddr,
    pub echo: SocketAddr,
}

impl Source {
    /// Starts it: a real `zdb` where there is one on the path, otherwise BCM's own server.
    pub fn start() -> Self {
        if let Some(zdb) = real_zdb() {
            if let Some(source) = Self::spawn("zdb", format!("0-db ({})", zdb.display())) {
                return source;
            }
            println!("{} did not start", zdb.display());
        }
        Self::spawn("own", "BCM's own 0-db server".to_owned()).expect("the source starts")
    }

    /// The process's number.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    fn spawn(kind: &str, what: String) -> Option<Self> {
        let mut process = Command::new(std::env::current_exe().ok()?)
            .args(["--source", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take()?)
            .read_line(&mut line)
            .ok()?;
        let ports: Vec<u16> = line
            .split_whitespace()
            .filter_map(|port| port.parse().ok())
            .collect();
        let &[direct, delayed, narrow, embedded, echo] = &ports[..] else {
            let _ = process.kill();
            let _ = process.wait();
            return None;
        };
        Some(Self {
            process,
            what,
            direct: loopback(direct),
            delayed: loopback(delayed),
            narrow: loopback(narrow),
            embedded: loopback(embedded),
            echo: loopback(echo),
        })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a bench is a program, and looks for another one"
)]
fn real_zdb() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("zdb"))
        .find(|zdb| zdb.is_file())
}

/// What the source's process does: serves until its input is closed.
pub fn serve(kind: Option<&str>) {
    let blocks = hub_blocks(BLOCKS);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = super::folder();
    let mut zdb = None;
    let direct = if kind == Some("zdb") {
        let (process, port) = start_zdb(folder.path());
        zdb = Some(process);
        if !runtime.block_on(load(port, &blocks)) {
            zdb.into_iter().for_each(|mut zdb| drop(zdb.kill()));
            return;
        }
        loopback(port)
    } else {
        own_server(&runtime, MemoryStore::default(), &blocks)
    };
    let embedded = EmbeddedStore::open(folder.path().join("blocks"), Access::ReadWrite);
    let embedded = own_server(&runtime, embedded.expect("a store"), &blocks);
    let proxy = runtime
        .block_on(DelayProxy::start(direct, DELAY))
        .expect("a port");
    let narrow = runtime
        .block_on(DelayProxy::with_rate(direct, DELAY, GIGABIT))
        .expect("a port");
    let echo = TcpListener::bind(loopback(0)).expect("a port");
    println!(
        "{} {} {} {} {}",
        direct.port(),
        proxy.address().port(),
        narrow.address().port(),
        embedded.port(),
        echo.local_addr().expect("an address").port()
    );
    std::thread::spawn(move || {
        let mut replies = Vec::new();
        for block in &blocks {
            replies.extend(format!("${}\r\n", block.payload().len()).into_bytes());
            replies.extend_from_slice(block.payload());
            replies.extend_from_slice(b"\r\n");
        }
        drop(blocks);
        let replies = Arc::new(replies);
        for stream in echo.incoming().flatten() {
            let mut requests = stream.try_clone().expect("a second handle");
            std::thread::spawn(move || std::io::copy(&mut requests, &mut std::io::sink()));
            let replies = Arc::clone(&replies);
            // A client that has had enough closes.
            std::thread::spawn(move || (&stream).write_all(&replies));
        }
    });
    let _ = std::io::stdin().read(&mut [0]);
    zdb.into_iter().for_each(|mut zdb| drop(zdb.kill()));
}

fn own_server(
    runtime: &tokio::runtime::Runtime,
    store: impl BlockStore + 'static,
    blocks: &[VerifiedBlock],
) -> SocketAddr {
    store.put(blocks).expect("there is room");
    store.flush().expect("there is room");
    serve_blocks(runtime, store)
}

fn start_zdb(folder: &std::path::Path) -> (Child, u16) {
    let port = TcpListener::bind(loopback(0))
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let process = Command::new("zdb")
        .args([
            "--listen",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--mode",
            "user",
        ])
        .arg("--data")
        .arg(folder.join("data"))
        .arg("--index")
        .arg(folder.join("index"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is there");
    (process, port)
}

/// Puts the blocks into a real 0-db; whether that worked.
async fn load(port: u16, blocks: &[VerifiedBlock]) -> bool {
    let address = ZdbAddress::new("127.0.0.1", port, "default").expect("an address");
    let started = Instant::now();
    let mut client = loop {
        match ZdbClient::connect(&address, &ClientOptions::default()).await {
            Ok(client) => break client,
            Err(_) if started.elapsed() < Duration::from_secs(5) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(_) => return false,
        }
    };
    for group in blocks.chunks(64) {
        for block in group {
            client.enqueue(&[b"SET", block.key().as_bytes(), block.payload()]);
        }
        for _ in group {
            if !matches!(client.reply("SET").await, Ok(Reply::Bulk(_))) {
                return false;
            }
        }
    }
    true
}

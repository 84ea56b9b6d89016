//! The source of blocks: a process of its own with a 0-db, a proxy that delays, and a plain port
//! that sends the same bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};
use bcm_hub_sync::zdb::ZdbAddress;
use bcm_hub_sync::zdb::client::{ClientOptions, ZdbClient};
use bcm_hub_sync::zdb::resp::Reply;
use bcm_hub_sync::zdb::server::{ZdbServer, ZdbServerOptions};
use bcm_tests::delay_proxy::DelayProxy;
use tokio_util::sync::CancellationToken;

use super::{BLOCKS, DELAY, loopback};

/// The running source; it ends when dropped.
pub struct Source {
    process: Child,
    /// What answers.
    pub what: String,
    pub direct: SocketAddr,
    pub delayed: SocketAddr,
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
        let &[direct, delayed, echo] = &ports[..] else {
            let _ = process.kill();
            let _ = process.wait();
            return None;
        };
        Some(Self {
            process,
            what,
            direct: loopback(direct),
            delayed: loopback(delayed),
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

/// The same blocks each time: incompressible, a few bytes to half a megabyte, mostly small.
pub fn blocks(count: u32) -> Vec<VerifiedBlock> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|number| {
            // Squaring twice makes small sizes common and large ones rare.
            let share = (random() % 10_000) as f64 / 10_000.0;
            let size = match number % 100 {
                0 => 150_000 + (random() % 350_000) as usize,
                _ => 30 + (share * share * share * 28_000.0) as usize,
            };
            let mut payload = Vec::with_capacity(size + 8);
            while payload.len() < size {
                payload.extend_from_slice(&random().to_le_bytes());
            }
            VerifiedBlock::new(payload.into(), 1_700_000_000 + number).expect("small enough")
        })
        .collect()
}

/// What the source's process does: serves until its input is closed.
pub fn serve(kind: Option<&str>) {
    let blocks = blocks(BLOCKS);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
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
        let store = MemoryStore::default();
        store.put(&blocks).expect("memory takes them");
        let options = ZdbServerOptions {
            listen: vec![loopback(0)],
            ..ZdbServerOptions::default()
        };
        let server = runtime
            .block_on(ZdbServer::bind(options, Arc::new(store)))
            .expect("a port");
        let address = server.local_addrs()[0];
        runtime.spawn(server.run(CancellationToken::new()));
        address
    };
    let proxy = runtime
        .block_on(DelayProxy::start(direct, DELAY))
        .expect("a port");
    let echo = TcpListener::bind(loopback(0)).expect("a port");
    println!(
        "{} {} {}",
        direct.port(),
        proxy.address().port(),
        echo.local_addr().expect("an address").port()
    );
    std::thread::spawn(move || {
        let bytes: Vec<u8> = blocks.iter().flat_map(|b| b.payload().to_vec()).collect();
        for stream in echo.incoming().flatten() {
            let _ = (&stream).write_all(&bytes);
        }
    });
    let _ = std::io::stdin().read(&mut [0]);
    zdb.into_iter().for_each(|mut zdb| drop(zdb.kill()));
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

//! The hub's server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use bcm_hub_sync::flist::Backend;
use bcm_hub_sync::layout::Layout;
use bcm_hub_sync::serve::{HubServer, ServeOptions};
use tokio_util::sync::CancellationToken;

use crate::http::Client;
use crate::process::{Own, peak, read_from_files};

/// Requests of each list, over this many connections, the best of so many rounds.
const REQUESTS: usize = 2000;
const CONNECTIONS: usize = 2;
const ROUNDS: usize = 3;

/// A large flist, in bytes, and how many download it at once.
const LARGE: u64 = 256 << 20;
const DOWNLOADS: usize = 4;

/// Serves what was synced into `data`.
pub fn run(data: &Path) {
    let mut server = Own::start(&["serve", &data.to_string_lossy()]);
    let process = server.0.id();
    let ports = server.line();
    let mut ports = ports.split_whitespace().map(|port| -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")))
    });
    let mut port = || ports.next().expect("a port");
    let hub = port();
    println!("serving, {CONNECTIONS} connections");
    for path in ["/api/flist", "/api/fileslist"] {
        let still = port();
        let bytes = Client::connect(hub).get(path);
        // It hashes again what was younger than a clock's tick when it was hashed first. From then on
        // it looks at its tree now and then, which reads nothing but folders.
        settle(process);
        let (mut best, mut limit) = (0.0_f64, 0.0_f64);
        let before = read_from_files(process);
        for _ in 0..ROUNDS {
            limit = limit.max(rate(still, path));
            best = best.max(rate(hub, path));
        }
        let read = read_from_files(process) - before;
        println!(
            "  {path:<16} {:>7.0} kB {best:>8.0} requests/s  {:.2} of {limit:.0}/s for bytes that never \
             change; {read} bytes read from files in {} requests",
            bytes as f64 / 1e3,
            best / limit,
            2 * ROUNDS * REQUESTS
        );
    }
    drop(server);

    let large = Layout::new(data).users().join("bench-0000/large.flist");
    let file = std::fs::File::create(large).expect("a file");
    file.set_len(LARGE).expect("there is room");
    let mut server = Own::start(&["serve", &data.to_string_lossy()]);
    let process = server.0.id();
    let ports = server.line();
    let hub = ports.split_whitespace().next().expect("a port");
    let hub = SocketAddr::from(([127, 0, 0, 1], hub.parse().expect("a port")));
    let before = peak(process);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..DOWNLOADS {
            scope.spawn(|| assert_eq!(Client::connect(hub).get("/bench-0000/large.flist"), LARGE));
        }
    });
    println!(
        "  {DOWNLOADS} downloads of {} MiB at once: {:.0} MB/s; the server had {before} MiB at most \
         before, and {} MiB after\n",
        LARGE >> 20,
        (LARGE * DOWNLOADS as u64) as f64 / 1e6 / started.elapsed().as_secs_f64(),
        peak(process)
    );
}

/// Waits until the process reads no more files.
fn settle(process: u32) {
    let mut before = None;
    for _ in 0..30 {
        let now = read_from_files(process);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Requests a second.
fn rate(address: SocketAddr, path: &str) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                for _ in 0..REQUESTS / CONNECTIONS {
                    client.get(path);
                }
            });
        }
    });
    REQUESTS as f64 / started.elapsed().as_secs_f64()
}

/// The server's process: BCM's server, and for each list a port that gives the same bytes always.
pub fn child(arguments: &[String]) {
    let layout = Layout::new(arguments.first().expect("a folder").as_str());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let backend = Backend::from_json(r#"{"host": "localhost", "port": 9900}"#).expect("a backend");
    let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let server = runtime.block_on(HubServer::bind(ServeOptions::new(layout, listen, backend)));
    let server = server.expect("a port");
    let hub = server.local_addrs()[0];
    runtime.spawn(server.run(CancellationToken::new()));
    let still = ["/api/flist", "/api/fileslist"].map(|path| {
        let length = Client::connect(hub).get(path);
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || same_always(&listener, length));
        port
    });
    println!("{} {} {}", hub.port(), still[0], still[1]);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Gives an answer of `length` bytes to whatever is asked.
fn same_always(listener: &TcpListener, length: u64) {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    answer.resize(
        answer.len() + usize::try_from(length).expect("it fits"),
        b'x',
    );
    let answer: std::sync::Arc<[u8]> = answer.into();
    for mut stream in listener.incoming().flatten() {
        let answer = std::sync::Arc::clone(&answer);
        std::thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            let mut request = [0; 4096];
            // Each request comes in one piece: it is shorter than one packet.
            while let Ok(1..) = stream.read(&mut request) {
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        });
    }
}

//! An upstream with no flists and a namespace of many small blocks: `big_origin BLOCKS`. For
//! measuring memory and interruptions by hand; prints the hub's and the 0-db's address, and serves
//! until its stdin ends.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};
use bcm_tests::zdb_port::serve_blocks;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let Some(count) = count else {
        eprintln!("big_origin BLOCKS");
        std::process::exit(2);
    };
    let store = MemoryStore::default();
    for first in (0..count).step_by(1000) {
        let blocks: Vec<VerifiedBlock> = (first..count.min(first + 1000)).map(block).collect();
        store.put(&blocks).expect("memory takes it");
    }
    let hub = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let hub_address = hub.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in hub.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let zdb = serve_blocks(&runtime, store);
    println!("http://{hub_address} zdb://{zdb}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Small (300 to 1,000 bytes), and different from every other.
fn block(number: u32) -> VerifiedBlock {
    let mut payload = number.to_le_bytes().repeat(75 + number as usize % 175);
    payload.extend(number.wrapping_mul(0x9E37_79B9).to_le_bytes());
    VerifiedBlock::new(payload.into(), 1_700_000_000).expect("it is small")
}

/// Whatever is asked for, there is nothing in it.
fn answer(mut stream: TcpStream) {
    let mut request = [0; 8192];
    while let Ok(1..) = stream.read(&mut request) {
        let listing = request.starts_with(b"GET /api/fileslist");
        let body = if listing { "{}" } else { "[]" };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2";
        if write!(stream, "{head}\r\n\r\n{body}").is_err() {
            return;
        }
    }
}

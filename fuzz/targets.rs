//! What the fuzz targets do with their bytes, as plain functions: `cargo fuzz` drives them, and so
//! does a test that mutates the kept corpus on a stable compiler.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bcm_core::names::RepoName;
use bcm_hub_sync::catalog::upstream::{Refusals, parse};
use bcm_hub_sync::flist::{Flist, Limits};
use bcm_hub_sync::store::memory::MemoryStore;
use bcm_hub_sync::store::{BlockStore, VerifiedBlock};
use bcm_hub_sync::zdb::command;
use bcm_hub_sync::zdb::resp::{
    Reply, ReplyDecoder, ReplyLimits, RequestDecoder, RequestLimits, RespError,
};
use bcm_hub_sync::zdb::server::{ZdbServer, ZdbServerOptions};
use bytes::BytesMut;

/// An flist from a stranger, as it is downloaded: opened, listed and walked to its end. Works in
/// `folder`.
pub fn flist(bytes: &[u8], folder: &Path) {
    let path = folder.join("x.flist");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let limits = Limits {
        unpacked_bytes: 64 << 20,
        entries: 100_000,
        blocks: 1_000_000,
        ..Limits::default()
    };
    if let Ok(flist) = Flist::open(&path, &limits, folder) {
        let _ = flist.contents();
        let _ = flist.inspect();
        let _ = flist.for_each_block(&mut |_| ControlFlow::Continue(()));
    }
}

/// What a hub lists: any bytes end in entries with safe names, or in an error.
pub fn listing(body: &[u8]) {
    const NOW: i64 = 1_800_000_000;
    let Ok(home) = RepoName::new("home") else {
        return;
    };
    let mut refusals = Refusals::default();
    let _ = parse::fileslist(body, NOW, &|_| true, &mut refusals);
    let _ = parse::repository(body, &home, NOW, &mut refusals);
    let _ = parse::repositories(body, NOW, &|_| true, &mut refusals);
    let _ = parse::light(body, NOW);
    let _ = parse::md5(body);
}

/// The wire of a 0-db, both sides: any bytes, in two pieces cut anywhere, read as in one. The
/// first two bytes say where.
pub fn resp(input: &[u8]) {
    let (cut, bytes) = input.split_at(input.len().min(2));
    let cut = cut
        .iter()
        .fold(0, |cut, byte| cut << 8 | usize::from(*byte));
    let (first, second) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(replies(&[first, second]), replies(&[bytes]));

    let mut decoder = RequestDecoder::new(RequestLimits::default());
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(request)) = decoder.decode(&mut buffer) {
        let _ = command::parse(request);
    }
}

fn replies(pieces: &[&[u8]]) -> (Vec<Reply>, Option<RespError>) {
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let (mut buffer, mut read) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => read.push(reply),
                Ok(None) => break,
                Err(error) => return (read, Some(error)),
            }
        }
    }
    (read, None)
}

/// A running 0-db server gets `bytes` from one client: it answers or closes, holds what it held,
/// and answers the next client.
pub fn server(bytes: &[u8]) {
    static SERVER: OnceLock<(SocketAddr, Arc<MemoryStore>)> = OnceLock::new();
    let (address, store) = SERVER.get_or_init(start);
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    // A server that has seen enough closes before it has read all.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answers) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs");
    }
    let mut next = TcpStream::connect(address).expect("the server listens");
    next.write_all(b"*1\r\n$4\r\nPING\r\n").expect("it reads");
    let mut pong = [0; 7];
    next.read_exact(&mut pong).expect("it answers");
    assert_eq!(&pong, b"+PONG\r\n");
    assert_eq!(store.stats().map(|stats| stats.blocks).ok(), Some(3));
}

fn start() -> (SocketAddr, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::default());
    for payload in ["", "one", "another"] {
        let block = VerifiedBlock::new(payload.into(), 1).expect("it is small");
        store.put(&[block]).expect("memory takes it");
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let served: Arc<dyn BlockStore> = store.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let options = ZdbServerOptions {
                listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
                ..ZdbServerOptions::default()
            };
            let server = ZdbServer::bind(options, served).await.expect("a port");
            sender.send(server.local_addrs()[0]).expect("it waits");
            server.run(tokio_util::sync::CancellationToken::new()).await;
        });
    });
    (receiver.recv().expect("it starts"), store)
}

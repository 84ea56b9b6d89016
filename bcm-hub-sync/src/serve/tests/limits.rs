//! Clients that take too much or too long, and the end of the server.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client::{exchange, parse};
use super::origin::{Served, backend, unpack_recorded};
use crate::layout::Layout;
use crate::serve::{HubServer, ServeError, ServeOptions};

/// Long after everything has happened that a test waits for, on a busy machine too.
const SOON: Duration = Duration::from_secs(60);

async fn with_limits(change: impl FnOnce(&mut ServeOptions)) -> Served {
    Served::start(unpack_recorded, change).await
}

/// Whether the server closes the connection by itself.
async fn is_closed(mut stream: TcpStream) -> bool {
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes)).await.is_ok()
}

#[tokio::test]
async fn bodies_are_refused() {
    let served = Served::recorded().await;
    for head in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let bytes = exchange(served.address, request.as_bytes()).await;
        let (answer, _) = parse(&bytes);
        assert_eq!(answer.status, 413, "{head}");
        assert_eq!(answer.header("connection"), "close", "{head}");
    }
}

#[tokio::test]
async fn large_heads_are_refused() {
    let served = Served::recorded().await;
    let long = "x".repeat(20_000);
    for request in [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "X: y\r\n".repeat(100)
        ),
    ] {
        let bytes = exchange(served.address, request.as_bytes()).await;
        let (answer, _) = parse(&bytes);
        assert!([414, 431].contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn too_many_connections_are_told_to_come_back() {
    let served = with_limits(|options| options.limits.connections = 2).await;
    let mut first = TcpStream::connect(served.address).await.unwrap();
    let mut second = TcpStream::connect(served.address).await.unwrap();
    for stream in [&mut first, &mut second] {
        // Answered, so it has been accepted.
        stream
            .write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        stream.read_u8().await.unwrap();
    }
    let mut third = TcpStream::connect(served.address).await.unwrap();
    let mut bytes = Vec::new();
    third.read_to_end(&mut bytes).await.unwrap();
    let (answer, _) = parse(&bytes);
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    drop((first, second));
    // The places are free as soon as the server has seen the end of one of them.
    let free = async {
        loop {
            let bytes = exchange(
                served.address,
                b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            )
            .await;
            if bytes.starts_with(b"HTTP/1.1 200") {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, free).await.unwrap();
}

#[tokio::test]
async fn silent_and_dripping_clients_are_let_go() {
    let served = with_limits(|options| {
        options.limits.head_timeout = Duration::from_millis(200);
        options.limits.idle_timeout = Duration::from_millis(200);
    })
    .await;
    let silent = TcpStream::connect(served.address).await.unwrap();
    assert!(is_closed(silent).await);
    let served = with_limits(|options| {
        options.limits.head_timeout = Duration::from_millis(200);
        options.limits.idle_timeout = Duration::from_secs(3600);
    })
    .await;
    let dripping = async {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        for byte in b"GET / HTTP/1.1\r\nX: ".iter().chain([b'y'].iter().cycle()) {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, dripping).await.unwrap();
}

const HUGE: usize = 40_000_000;
/// More than what the sockets of a connection hold between two reads, so that each read of so much
/// lets the server write.
const PIECE: usize = 8_000_000;

/// Begins to get a file of [`HUGE`] bytes, of which only the first byte of the head is read. The
/// socket holds little, so that the server has to wait for its reader.
async fn begin_download(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(65_536).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream
        .write_all(b"GET /empty.3bot/huge.flist HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    stream.read_u8().await.unwrap();
    stream
}

/// Reads [`HUGE`] bytes with pauses that make it last longer than `limit`. Gives what was read and
/// the longest time that the client let pass without reading.
async fn read_slowly(stream: &mut TcpStream, limit: Duration) -> (Vec<u8>, Duration) {
    let mut bytes = vec![0; HUGE];
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    for (number, piece) in bytes.chunks_mut(PIECE).enumerate() {
        tokio::time::sleep(limit * 3 / 10).await;
        let read = stream.read_exact(piece).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if read.is_err() {
            bytes.truncate(number * PIECE);
            break;
        }
    }
    (bytes, longest)
}

/// Whether one client was let go that stops reading for `limit`, and not the one beside it that
/// reads slowly; false if this machine was too busy for that client to read within `limit`.
async fn lets_go_of_who_stops_reading(limit: Duration) -> bool {
    let served = with_limits(|options| {
        options.limits.stall_timeout = limit;
        options.limits.connections = 2;
    })
    .await;
    let huge = fs::File::create(served.file("empty.3bot/huge.flist")).unwrap();
    huge.set_len(HUGE as u64).unwrap();
    let mut slow = begin_download(served.address).await;
    let mut stalled = begin_download(served.address).await;
    // The next request waits until the answer has ended: that is fine.
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let (mut bytes, longest) = read_slowly(&mut slow, limit).await;
    if bytes.len() < HUGE {
        assert!(
            longest >= limit / 2,
            "it read every {longest:?} and was let go for {limit:?} without reading"
        );
        return false;
    }

    // Both places are taken until one of the two is let go. What came for the one that does not
    // read must not be read before that.
    let is_free = async {
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        while !exchange(served.address, request)
            .await
            .starts_with(b"HTTP/1.1 200")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, is_free)
        .await
        .expect("a client that does not read is let go");
    let mut got = Vec::new();
    let _ = timeout(SOON, stalled.read_to_end(&mut got)).await.unwrap();
    assert!(got.len() < HUGE, "{} bytes", got.len());

    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    slow.read_to_end(&mut bytes).await.unwrap();
    // Its first byte was read at the beginning.
    bytes.insert(0, b'H');
    let (first, rest) = parse(&bytes);
    assert_eq!(first.body.len(), HUGE);
    let (second, rest) = parse(rest);
    assert_eq!((second.status, parse(rest).0.status), (200, 200));
    true
}

#[tokio::test]
async fn a_client_that_stops_reading_is_let_go_and_others_are_not() {
    let mut limit = Duration::from_millis(500);
    while !lets_go_of_who_stops_reading(limit).await {
        limit *= 2;
        assert!(limit < Duration::from_secs(600), "the machine stands still");
    }
}

/// The time for a request's head does not run while an answer is under way.
#[tokio::test]
async fn a_slow_answer_is_no_slow_head() {
    let limit = Duration::from_millis(200);
    let served = with_limits(|options| options.limits.head_timeout = limit).await;
    let huge = fs::File::create(served.file("empty.3bot/huge.flist")).unwrap();
    huge.set_len(HUGE as u64).unwrap();
    let mut slow = begin_download(served.address).await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let (mut bytes, _) = read_slowly(&mut slow, limit).await;
    slow.read_to_end(&mut bytes).await.unwrap();
    bytes.insert(0, b'H');
    let (first, rest) = parse(&bytes);
    assert_eq!(first.body.len(), HUGE);
    assert_eq!(parse(rest).0.status, 200);
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let served = Served::recorded().await;
    let request = "GET /api/flist HTTP/1.1\r\nHost: x\r\n\r\n\
        HEAD /tf-bootable/ubuntu-tiny.flist HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /nobody/x.flist.md5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let bytes = exchange(served.address, request.as_bytes()).await;
    let (first, rest) = parse(&bytes);
    assert_eq!(
        (first.status, first.json()[0].as_str()),
        (200, Some("alice.3bot/base.flist"))
    );
    let (second, _) = parse(rest);
    assert_eq!(
        (second.status, second.header("content-length")),
        (200, "3448")
    );
    let after_head = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let (third, rest) = parse(&rest[after_head..]);
    assert_eq!((third.status, rest.len()), (404, 0));
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_finishes_answers() {
    let served = with_limits(|options| {
        options.limits.shutdown_grace = Duration::from_secs(3600);
    })
    .await;
    fs::write(served.file("empty.3bot/huge.flist"), vec![1; 30_000_000]).unwrap();
    let idle = TcpStream::connect(served.address).await.unwrap();
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    busy.write_all(b"GET /empty.3bot/huge.flist HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let first = busy.read_u8().await.unwrap();
    served.cancel.cancel();
    let mut bytes = vec![first];
    busy.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(parse(&bytes).0.body.len(), 30_000_000);
    assert!(is_closed(idle).await);
    timeout(SOON, served.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_waits_only_so_long() {
    let served = with_limits(|options| {
        options.limits.shutdown_grace = Duration::from_millis(100);
    })
    .await;
    fs::write(served.file("empty.3bot/huge.flist"), vec![1; 30_000_000]).unwrap();
    let mut stuck = TcpStream::connect(served.address).await.unwrap();
    stuck
        .write_all(b"GET /empty.3bot/huge.flist HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    stuck.read_u8().await.unwrap();
    served.cancel.cancel();
    timeout(SOON, served.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn several_addresses_of_both_families() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("not tested: this machine has no IPv6");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    unpack_recorded(&layout);
    // The port of the first one is free on the other family too, most likely; else try another.
    for _ in 0..20 {
        let listen = |port: u16| {
            vec![
                format!("127.0.0.1:{port}").parse().unwrap(),
                format!("[::]:{port}").parse().unwrap(),
            ]
        };
        let first = HubServer::bind(ServeOptions::new(
            layout.clone(),
            vec!["127.0.0.1:0".parse().unwrap()],
            backend(),
        ))
        .await
        .unwrap();
        let port = first.local_addrs()[0].port();
        drop(first);
        let options = ServeOptions::new(layout.clone(), listen(port), backend());
        let server = match HubServer::bind(options).await {
            Ok(server) => server,
            Err(ServeError::Listen { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(server.local_addrs(), listen(port));
        let cancel = CancellationToken::new();
        let task = tokio::spawn(server.run(cancel.clone()));
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let bytes = exchange(
                address.parse().unwrap(),
                b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            )
            .await;
            assert_eq!(parse(&bytes).0.status, 200, "{address}");
        }
        cancel.cancel();
        task.await.unwrap();
        return;
    }
    panic!("no port was free on both families");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let served = Served::recorded().await;
    let options = ServeOptions::new(served.layout.clone(), vec![served.address], backend());
    let error = HubServer::bind(options).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("could not listen on {}", served.address)
    );
    let options = ServeOptions::new(served.layout.clone(), Vec::new(), backend());
    let error = HubServer::bind(options).await.unwrap_err();
    assert!(matches!(error, ServeError::NoAddress));
}

//! Clients that are wrong, slow, or too many.

use super::*;

/// Long after everything has happened that a test waits for, on a busy machine too.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_no_request_is_answered_and_closed() {
    let server = start(recorded_store(), ZdbServerOptions::default()).await;
    for (bytes, answer) in [
        (&b"PING\r\n"[..], "Malformed request, array expected"),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "Malformed request, array expected",
        ),
        (b"*0\r\n", "Missing arguments"),
        (b"*5000\r\n", "Too many arguments"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "Malformed query string"),
        (b"*2\r\n$3\r\nGET\r\n$99999999\r\n", "Payload too big"),
    ] {
        let mut client = Raw::connect(server.address).await;
        // The requests before it are answered.
        client
            .stream
            .write_all(b"*1\r\n$4\r\nping\r\n")
            .await
            .unwrap();
        client.stream.write_all(bytes).await.unwrap();
        assert_eq!(client.reply().await, Some(Reply::Status("PONG".into())));
        assert_eq!(client.reply().await, error(answer));
        assert_eq!(client.reply().await, None);
    }
}

#[tokio::test]
async fn a_whole_block_can_be_offered_and_is_refused() {
    let server = start(recorded_store(), ZdbServerOptions::default()).await;
    let mut client = Raw::connect(server.address).await;
    let block = vec![0; crate::store::MAX_PAYLOAD];
    let refused = error("Namespace is in read-only mode");
    assert_eq!(client.call(&[b"SET", &[1; 16], &block]).await, refused);
    assert_eq!(
        client.call(&[b"PING"]).await,
        Some(Reply::Status("PONG".into()))
    );
}

#[tokio::test]
async fn wait_ends_with_a_new_block_and_not_before() {
    let store = recorded_store();
    let server = start(store.clone(), ZdbServerOptions::default()).await;
    let mut client = Raw::connect(server.address).await;
    for round in 0..2_u8 {
        // What came before the wait does not count.
        let begin = std::time::Instant::now();
        let timeout = client.call(&[b"WAIT", b"SET", b"150"]).await;
        assert_eq!(timeout, error("Timeout"));
        assert!(begin.elapsed() >= Duration::from_millis(150));
        let mut request = bytes::BytesMut::new();
        write_request(&mut request, &[b"WAIT", b"SET", b"1800000"]);
        client.stream.write_all(&request).await.unwrap();
        let writing = tokio::spawn({
            let store = store.clone();
            async move {
                // The wait may begin a moment later: go on until it ends.
                for number in 0.. {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let payload = Bytes::from(vec![round; 10 + number]);
                    store
                        .put(&[VerifiedBlock::new(payload, 1).unwrap()])
                        .unwrap();
                }
            }
        });
        assert_eq!(client.reply().await, Some(Reply::Status("SET".into())));
        writing.abort();
        let _ = writing.await;
    }
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let options = ZdbServerOptions {
        connections: 1,
        ..ZdbServerOptions::default()
    };
    let server = start(recorded_store(), options).await;
    let mut first = Raw::connect(server.address).await;
    assert_eq!(
        first.call(&[b"PING"]).await,
        Some(Reply::Status("PONG".into()))
    );
    let mut second = Raw::connect(server.address).await;
    let refused = second.call(&[b"PING"]).await;
    assert_eq!(refused, error("Too many connections, try again later"));
    assert_eq!(second.reply().await, None);
    drop(first);
    // The place is free again as soon as the server has seen that the first left.
    let mut third = loop {
        let mut client = Raw::connect(server.address).await;
        if client.call(&[b"PING"]).await == Some(Reply::Status("PONG".into())) {
            break client;
        }
    };
    assert_eq!(third.call(&[b"DBSIZE"]).await, Some(Reply::Integer(136)));
}

#[tokio::test]
async fn silent_and_dawdling_clients_are_left() {
    let options = ZdbServerOptions {
        idle: Duration::from_millis(200),
        request: Duration::from_millis(200),
        ..ZdbServerOptions::default()
    };
    let server = start(recorded_store(), options).await;
    let mut silent = Raw::connect(server.address).await;
    assert_eq!(silent.reply().await, None);
    // Never silent, and all of it may stand in a request, which does not end.
    let mut dripping = Raw::connect(server.address).await;
    let begun = b"*2\r\n$3\r\nGET\r\n$8000000\r\n".iter();
    let drip = async {
        for byte in begun.chain([b'x'].iter().cycle()) {
            if dripping.stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            let mut end = [0];
            if let Ok(0) = dripping.stream.try_read(&mut end) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, drip)
        .await
        .expect("it is left although it always says something");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_left() {
    let options = ZdbServerOptions {
        write: Duration::from_millis(200),
        connections: 1,
        ..ZdbServerOptions::default()
    };
    let store = recorded_store();
    let server = start(store.clone(), options).await;
    // One that asks for much.
    let mut deaf = Raw::connect(server.address).await;
    let all = store
        .scan(None, crate::store::Direction::Forward, 1000)
        .unwrap();
    let largest = all.iter().max_by_key(|info| info.size).unwrap();
    let mut requests = bytes::BytesMut::new();
    for _ in 0..200 {
        write_request(&mut requests, &[b"GET", largest.key.as_bytes()]);
    }
    deaf.stream.write_all(&requests).await.unwrap();
    // To read its replies would let the server go on: that it was left is seen by its place.
    let is_left = async {
        while !takes_another(&server).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, is_left)
        .await
        .expect("its place is free again");
    let mut replies = 0;
    while deaf.reply().await.is_some() {
        replies += 1;
    }
    assert!(replies < 200);
}

/// Whether there is a place for one more client.
async fn takes_another(server: &Running) -> bool {
    let mut client = Raw::connect(server.address).await;
    client.call(&[b"PING"]).await == Some(Reply::Status("PONG".into()))
}

#[tokio::test]
async fn stopping_ends_every_connection() {
    let options = ZdbServerOptions {
        grace: SOON * 100,
        ..ZdbServerOptions::default()
    };
    let server = start(recorded_store(), options).await;
    let mut idle = Raw::connect(server.address).await;
    assert_eq!(idle.call(&[b"DBSIZE"]).await, Some(Reply::Integer(136)));
    let mut waiting = Raw::connect(server.address).await;
    let mut request = bytes::BytesMut::new();
    write_request(&mut request, &[b"PING"]);
    write_request(&mut request, &[b"WAIT", b"SET", b"1800000"]);
    waiting.stream.write_all(&request).await.unwrap();
    assert_eq!(waiting.reply().await, Some(Reply::Status("PONG".into())));
    server.cancel.cancel();
    tokio::time::timeout(SOON, server.task)
        .await
        .expect("nothing is under way")
        .unwrap();
    assert_eq!(idle.reply().await, None);
    assert_eq!(waiting.reply().await, None);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn listens_on_both_families_with_one_port() {
    let store: Arc<dyn BlockStore> = recorded_store();
    let options = |listen| ZdbServerOptions {
        listen,
        ..ZdbServerOptions::default()
    };
    let v4 = ZdbServer::bind(options(vec!["0.0.0.0:0".parse().unwrap()]), store.clone())
        .await
        .unwrap();
    let port = v4.local_addrs()[0].port();
    drop(v4);
    let both = vec![
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)),
    ];
    // A machine without IPv6 has nothing to show here.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let server = ZdbServer::bind(options(both.clone()), store.clone())
            .await
            .unwrap();
        assert_eq!(server.local_addrs(), both);
        let cancel = CancellationToken::new();
        let running = tokio::spawn(server.run(cancel.clone()));
        for host in ["127.0.0.1", "::1"] {
            let address = SocketAddr::from((host.parse::<std::net::IpAddr>().unwrap(), port));
            let mut client = Raw::connect(address).await;
            assert_eq!(client.call(&[b"DBSIZE"]).await, Some(Reply::Integer(136)));
        }
        cancel.cancel();
        running.await.unwrap();
    }
    let error = ZdbServer::bind(options(vec![]), store).await.err().unwrap();
    assert!(matches!(error, ServerError::NoAddress));
}

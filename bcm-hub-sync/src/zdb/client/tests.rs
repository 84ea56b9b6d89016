use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::store::memory::MemoryStore;
use crate::store::{BlockStore, VerifiedBlock};
use crate::zdb::resp::RequestDecoder;
use crate::zdb::server::{ZdbServer, ZdbServerOptions};

fn block(number: u32) -> VerifiedBlock {
    let payload = number.to_le_bytes().repeat(1 + number as usize % 500);
    VerifiedBlock::new(payload.into(), 1_700_000_000 + number).unwrap()
}

async fn served(blocks: u32) -> (ZdbAddress, Arc<MemoryStore>, CancellationToken) {
    let store = Arc::new(MemoryStore::default());
    let all: Vec<_> = (0..blocks).map(block).collect();
    store.put(&all).unwrap();
    let options = ZdbServerOptions {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        ..ZdbServerOptions::default()
    };
    let server = ZdbServer::bind(options, store.clone()).await.unwrap();
    let port = server.local_addrs()[0].port();
    let cancel = CancellationToken::new();
    tokio::spawn(server.run(cancel.clone()));
    let address = ZdbAddress::new("127.0.0.1", port, "default").unwrap();
    (address, store, cancel)
}

/// A server that answers every request with the next of `answers` and then is silent.
async fn scripted(answers: Vec<&'static [u8]>) -> ZdbAddress {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut answers = answers.clone().into_iter();
            tokio::spawn(async move {
                let mut decoder = RequestDecoder::default();
                let mut input = BytesMut::new();
                while stream.read_buf(&mut input).await.is_ok_and(|n| n > 0) {
                    while let Ok(Some(_)) = decoder.decode(&mut input) {
                        match answers.next() {
                            Some(b"close") => return,
                            Some(answer) => stream.write_all(answer).await.unwrap(),
                            None => {}
                        }
                    }
                }
            });
        }
    });
    ZdbAddress::new("127.0.0.1", port, "default").unwrap()
}

#[tokio::test]
async fn reads_all_there_is_to_read() {
    let (address, store, _cancel) = served(600).await;
    let mut client = ZdbClient::connect(&address, &ClientOptions::default())
        .await
        .unwrap();
    let one = block(7);
    let key = one.key().as_bytes();
    assert_eq!(client.get(key).await.unwrap().as_ref(), Some(one.payload()));
    assert_eq!(client.get(&[0; 16]).await.unwrap(), None);
    assert!(client.exists(key).await.unwrap());
    assert!(!client.exists(&[0; 16]).await.unwrap());
    assert_eq!(client.length(key).await.unwrap(), Some(32));
    assert_eq!(client.length(b"foo").await.unwrap(), None);
    assert_eq!(client.key_time(key).await.unwrap(), Some(1_700_000_007));
    assert_eq!(client.key_time(&[0; 32]).await.unwrap(), None);
    let info = client.namespace_info("default").await.unwrap();
    assert!(info.contains(&("entries".into(), "600".into())), "{info:?}");
    assert!(
        !client
            .wait_for_set(Duration::from_millis(100))
            .await
            .unwrap()
    );

    let mut scanned = Vec::new();
    let mut cursor: Option<Bytes> = None;
    while let Some(page) = client.scan(cursor.as_deref()).await.unwrap() {
        scanned.extend(page.entries);
        cursor = Some(page.cursor);
    }
    let expected: Vec<_> = (0..600).map(block).collect();
    assert_eq!(scanned.len(), expected.len());
    for (entry, block) in scanned.iter().zip(&expected) {
        assert_eq!(entry.key, block.key().as_bytes());
        assert_eq!(entry.size, block.payload().len() as u64);
        assert_eq!(entry.timestamp, i64::from(block.timestamp()));
    }
    // New blocks are seen from the saved cursor on.
    store.put(&[block(1000)]).unwrap();
    let page = client.scan(cursor.as_deref()).await.unwrap().unwrap();
    assert_eq!(page.entries.len(), 1);
    assert!(matches!(
        client.scan(Some(b"nonsense")).await,
        Err(ClientError::Refused { message, .. }) if message == "Invalid key format"
    ));

    let mut got = 0;
    client
        .get_many(
            expected.iter().map(|b| *b.key()).map(Key),
            64,
            |key, payload| {
                assert_eq!(key.0, *expected[got].key());
                assert_eq!(payload.as_ref(), Some(expected[got].payload()));
                got += 1;
            },
        )
        .await
        .unwrap();
    assert_eq!(got, 600);
    assert_eq!(client.in_flight(), 0);
}

struct Key(crate::block::BlockKey);

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[tokio::test]
async fn refusals_name_the_host_and_hide_the_password() {
    let (address, _, _cancel) = served(1).await;
    let elsewhere = ZdbAddress::new("127.0.0.1", address.port(), "nowhere").unwrap();
    let options = ClientOptions::default();
    let error = ZdbClient::connect(&elsewhere, &options).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Namespace not found"), "{text}");
    assert!(text.contains(&address.authority()), "{text}");
    assert!(!error.is_transient());

    let locked = address.with_password(Secret::new("sesame"));
    let error = ZdbClient::connect(&locked, &options).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("Access denied"), "{text}");
    assert!(!text.contains("sesame"), "{text}");
}

/// The hash is the one that 0-db expects: SHA-1 of challenge, colon, password.
#[tokio::test]
async fn a_challenge_is_answered_with_a_hash() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut decoder = RequestDecoder::default();
        let mut input = BytesMut::new();
        let mut requests = Vec::new();
        while stream.read_buf(&mut input).await.unwrap() > 0 {
            while let Some(request) = decoder.decode(&mut input).unwrap() {
                let words: Vec<String> = request
                    .arguments()
                    .map(|a| String::from_utf8_lossy(a.bytes).into_owned())
                    .collect();
                let answer: &[u8] = if words.len() == 3 {
                    b"+0123456789abcdef\r\n"
                } else {
                    b"+OK\r\n"
                };
                requests.push(words.join(" "));
                stream.write_all(answer).await.unwrap();
            }
        }
        requests
    });
    let address = ZdbAddress::new("127.0.0.1", port, "ns")
        .unwrap()
        .with_password(Secret::new("pw"));
    let client = ZdbClient::connect(&address, &ClientOptions::default()).await;
    drop(client.unwrap());
    let hash = Sha1::of(b"0123456789abcdef:pw");
    assert_eq!(
        server.await.unwrap(),
        [
            "AUTH SECURE CHALLENGE".to_owned(),
            format!("SELECT ns SECURE {hash}")
        ]
    );
}

#[tokio::test]
async fn silence_dripping_closing_and_garbage_end_in_time() {
    let silent = scripted(vec![]).await;
    let options = ClientOptions {
        connect: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    let error = ZdbClient::connect(&silent, &options).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Timeout {
                setting: "connect",
                ..
            }
        ),
        "{error}"
    );
    let then_silent = scripted(vec![b"+OK\r\n", b"$100\r\nonly a part"]).await;
    let options = ClientOptions {
        idle: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    let mut client = ZdbClient::connect(&then_silent, &options).await.unwrap();
    let error = client.get(&[0; 16]).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Timeout {
                setting: "idle",
                command: "GET",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_transient());
    let options = ClientOptions::default();
    let closing = scripted(vec![b"+OK\r\n", b"close"]).await;
    let mut client = ZdbClient::connect(&closing, &options).await.unwrap();
    let error = client.get(&[0; 16]).await.unwrap_err();
    assert!(matches!(error, ClientError::Closed { .. }), "{error}");
    for garbage in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"$99999999\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    ] {
        let confused = scripted(vec![b"+OK\r\n", garbage]).await;
        let mut client = ZdbClient::connect(&confused, &options).await.unwrap();
        let error = client.get(&[0; 16]).await.unwrap_err();
        assert!(error.is_protocol(), "{error}");
    }
    let odd = scripted(vec![b"+OK\r\n", b":1\r\n"]).await;
    let mut client = ZdbClient::connect(&odd, &options).await.unwrap();
    let error = client.get(&[0; 16]).await.unwrap_err();
    assert!(error.to_string().contains("with a number"), "{error}");
}

#[tokio::test]
async fn a_drip_is_not_life() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"+OK\r\n$1000\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let address = ZdbAddress::new("127.0.0.1", port, "default").unwrap();
    let options = ClientOptions {
        // Never silent for so long.
        idle: Duration::from_secs(2),
        reply: Duration::from_millis(2200),
        ..ClientOptions::default()
    };
    let mut client = ZdbClient::connect(&address, &options).await.unwrap();
    let error = client.get(&[0; 16]).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Timeout {
                setting: "reply",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_scan_that_stands_still_is_refused() {
    let page = b"*2\r\n$3\r\ncur\r\n*1\r\n*3\r\n$1\r\nk\r\n:1\r\n:2\r\n";
    let address = scripted(vec![b"+OK\r\n", page, page, b"*2\r\n$1\r\nx\r\n*0\r\n"]).await;
    let mut client = ZdbClient::connect(&address, &ClientOptions::default())
        .await
        .unwrap();
    let first = client.scan(None).await.unwrap().unwrap();
    assert_eq!(&first.cursor[..], b"cur");
    for cursor in [&b"cur"[..], b"other"] {
        let error = client.scan(Some(cursor)).await.unwrap_err();
        assert!(matches!(error, ClientError::Unexpected { .. }), "{error}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let address = ZdbAddress::new("127.0.0.1", port, "default").unwrap();
    let error = ZdbClient::connect(&address, &ClientOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&address.authority()));
}

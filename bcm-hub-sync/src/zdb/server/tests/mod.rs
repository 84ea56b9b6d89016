mod clients;

use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::*;
use crate::block::BlockKey;
use crate::store::VerifiedBlock;
use crate::store::memory::MemoryStore;
use crate::zdb::resp::{Reply, ReplyDecoder, write_request};

const FIXTURES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/origin-small"
);

#[derive(Deserialize)]
struct RecordedBlock {
    key: String,
    size: usize,
    timestamp: u32,
}

#[derive(Deserialize)]
struct Exchange {
    command: String,
    request_hex: String,
    reply_hex: Option<String>,
    reply_len: usize,
}

fn json<T: serde::de::DeserializeOwned>(path: &str) -> T {
    let text = std::fs::read(Path::new(FIXTURES).join(path)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn recorded_store() -> Arc<MemoryStore> {
    let store = MemoryStore::default();
    for block in json::<Vec<RecordedBlock>>("blocks.json") {
        let payload = std::fs::read(Path::new(FIXTURES).join("blocks").join(&block.key)).unwrap();
        assert_eq!(payload.len(), block.size);
        let key = block.key.parse().unwrap();
        let block = VerifiedBlock::verify(key, payload.into(), block.timestamp).unwrap();
        store.put(&[block]).unwrap();
    }
    Arc::new(store)
}

struct Running {
    address: SocketAddr,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(store: Arc<dyn BlockStore>, options: ZdbServerOptions) -> Running {
    let options = ZdbServerOptions {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        ..options
    };
    let server = ZdbServer::bind(options, store).await.unwrap();
    let address = server.local_addrs()[0];
    let cancel = CancellationToken::new();
    let task = tokio::spawn(server.run(cancel.clone()));
    Running {
        address,
        cancel,
        task,
    }
}

/// A client that sends bytes as they are.
struct Raw {
    stream: TcpStream,
    bytes: bytes::BytesMut,
    /// All that was received.
    seen: Vec<u8>,
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            bytes: bytes::BytesMut::new(),
            seen: Vec::new(),
        }
    }

    /// The next reply, or `None` when the server closes the connection.
    async fn reply(&mut self) -> Option<Reply> {
        let mut decoder = ReplyDecoder::default();
        loop {
            if let Some(reply) = decoder.decode(&mut self.bytes).unwrap() {
                return Some(reply);
            }
            let mut chunk = vec![0; 65_536];
            let reading = self.stream.read(&mut chunk);
            let count = tokio::time::timeout(Duration::from_secs(60), reading)
                .await
                .expect("the server answers or closes the connection")
                .unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.seen.extend_from_slice(&chunk[..count]);
            self.bytes.extend_from_slice(&chunk[..count]);
        }
    }

    async fn call(&mut self, arguments: &[&[u8]]) -> Option<Reply> {
        let mut request = bytes::BytesMut::new();
        write_request(&mut request, arguments);
        self.stream.write_all(&request).await.unwrap();
        self.reply().await
    }
}

fn error(text: &str) -> Option<Reply> {
    Some(Reply::Error(text.into()))
}

/// The names of the fields of an info text, with the values of those that do not change from
/// one server or moment to the next.
fn shape(text: &[u8]) -> Vec<String> {
    let fixed = [
        "server_name",
        "server_revision",
        "engine_revision",
        "sequential_key_size",
        "data_version",
        "index_version",
        "name",
        "entries",
        "public",
        "worm",
        "locked",
        "password",
        "mode",
        "data_size_bytes",
        "data_size_mb",
        "data_limits_bytes",
        "index_size_bytes",
        "index_size_kb",
        "next_internal_id",
    ];
    String::from_utf8_lossy(text)
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((field, _)) if !fixed.contains(&field) => field.to_owned(),
            _ => line.to_owned(),
        })
        .collect()
}

fn expect_same_bytes(exchange: &Exchange, answer: &[u8], recorded: &[u8]) {
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        show(answer),
        show(recorded),
        "{} ({} bytes recorded)",
        exchange.command,
        exchange.reply_len
    );
    assert_eq!(answer, recorded, "{}", exchange.command);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_answer_is_given_again() {
    let blocks: Vec<RecordedBlock> = json("blocks.json");
    let options = ZdbServerOptions {
        free_space_of: Some(FIXTURES.into()),
        ..ZdbServerOptions::default()
    };
    let server = start(recorded_store(), options).await;
    let mut client = Raw::connect(server.address).await;
    let mut last_cursor = Bytes::new();
    let exchanges: Vec<Exchange> = json("resp/public.json");
    assert_eq!(exchanges.len(), 41);
    for exchange in &exchanges {
        let mut request = bcm_core::digest::from_hex(&exchange.request_hex).unwrap();
        let recorded = exchange
            .reply_hex
            .as_deref()
            .map(|hex| bcm_core::digest::from_hex(hex).unwrap());
        let name = exchange.command.as_str();
        // A cursor is the server's own: where the recording goes on after the last key, this
        // one's cursor of that key stands for it.
        if name.starts_with("SCANX 1000") {
            let at = request.len() - 2 - 17;
            request[at..at + 17].copy_from_slice(&last_cursor);
        }
        client.seen.clear();
        client.stream.write_all(&request).await.unwrap();
        let reply = client.reply().await.unwrap();
        match (name.split(' ').next().unwrap(), &reply, recorded) {
            ("NSINFO" | "INFO", Reply::Bulk(text), Some(recorded)) => {
                let start = recorded.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
                let recorded = &recorded[start..recorded.len() - 2];
                assert_eq!(shape(text), shape(recorded), "{name}");
            }
            ("TIME", Reply::Array(parts), Some(_)) => {
                let [Reply::Bulk(seconds), Reply::Bulk(micros)] = &parts[..] else {
                    panic!("{name}: {reply:?}");
                };
                let number = |b: &Bytes| std::str::from_utf8(b).unwrap().parse::<u64>().unwrap();
                assert!(number(seconds) > 1_700_000_000 && number(micros) < 1_000_000);
            }
            ("AUTH", Reply::Status(challenge), Some(recorded)) => {
                assert_eq!(client.seen.len(), recorded.len(), "{name}");
                assert!(
                    challenge.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{challenge}"
                );
            }
            ("KEYCUR", Reply::Bulk(cursor), Some(_)) => assert_eq!(cursor.len(), 17),
            ("SCAN" | "SCANX" | "RSCAN", Reply::Array(parts), None) => {
                assert_eq!(client.seen.len(), exchange.reply_len, "{name}");
                let [Reply::Bulk(cursor), Reply::Array(entries)] = &parts[..] else {
                    panic!("{name}: {reply:?}");
                };
                assert_eq!(cursor.len(), 17);
                let mut expected: Vec<Reply> = blocks
                    .iter()
                    .map(|block| {
                        let key: BlockKey = block.key.parse().unwrap();
                        Reply::Array(vec![
                            Reply::Bulk(Bytes::copy_from_slice(key.as_bytes())),
                            Reply::Integer(block.size as i64),
                            Reply::Integer(block.timestamp.into()),
                        ])
                    })
                    .collect();
                if name == "RSCAN" {
                    expected.reverse();
                } else {
                    last_cursor = cursor.clone();
                }
                assert_eq!(entries, &expected, "{name}");
            }
            (_, _, Some(recorded)) => {
                assert_eq!(recorded.len(), exchange.reply_len, "{name}");
                expect_same_bytes(exchange, &client.seen, &recorded);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    server.cancel.cancel();
    server.task.await.unwrap();
}

/// What an administrator was recorded doing is refused, or answered as to anybody, and changes
/// nothing.
#[tokio::test]
async fn nothing_an_administrator_does_gets_through() {
    let store = recorded_store();
    let server = start(store.clone(), ZdbServerOptions::default()).await;
    let mut client = Raw::connect(server.address).await;
    let generation = store.generation().unwrap();
    for exchange in json::<Vec<Exchange>>("resp/admin.json") {
        let request = bcm_core::digest::from_hex(&exchange.request_hex).unwrap();
        client.stream.write_all(&request).await.unwrap();
        let reply = client.reply().await.unwrap();
        let command = exchange.command.split(' ').next().unwrap();
        match (command, &reply) {
            ("NSINFO", Reply::Bulk(text)) => {
                let text = String::from_utf8_lossy(text);
                assert!(
                    !text.contains("path") && !text.contains("current"),
                    "{text}"
                );
            }
            ("GET" | "KEYTIME", Reply::Nil) => {}
            ("AUTH" | "SELECT", Reply::Error(text)) => assert_eq!(text, "Access denied"),
            ("DATA", Reply::Error(text)) => assert_eq!(text, "Permission denied"),
            ("SET" | "DEL", Reply::Error(text)) => assert!(
                text == "Namespace is in read-only mode" || text == "Permission denied",
                "{text}"
            ),
            other => panic!("{}: {other:?}", exchange.command),
        }
    }
    assert_eq!(store.generation().unwrap(), generation);
    assert_eq!(store.stats().unwrap().blocks, 136);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_is_answered_in_order_and_in_full() {
    let store = recorded_store();
    let server = start(store.clone(), ZdbServerOptions::default()).await;
    let mut client = Raw::connect(server.address).await;
    let all = store
        .scan(None, crate::store::Direction::Forward, 1000)
        .unwrap();
    // More requests than are taken at once, and more bytes than are sent at once.
    let mut requests = bytes::BytesMut::new();
    let mut expected = Vec::new();
    for (number, info) in all.iter().cycle().take(6000).enumerate() {
        let (_, payload) = store.get(&info.key).unwrap().unwrap();
        match number % 3 {
            0 if payload.len() < 50_000 => {
                write_request(&mut requests, &[b"GET", info.key.as_bytes()]);
                expected.push(Reply::Bulk(payload));
            }
            1 => {
                write_request(&mut requests, &[b"NOSUCH"]);
                expected.push(Reply::Error("Command not supported".into()));
            }
            _ => {
                write_request(&mut requests, &[b"LENGTH", info.key.as_bytes()]);
                expected.push(Reply::Integer(info.size.into()));
            }
        }
    }
    let keys: Vec<&[u8]> = std::iter::once(&b"MGET"[..])
        .chain(all.iter().map(|info| info.key.as_bytes()))
        .collect();
    write_request(&mut requests, &keys);
    expected.push(Reply::Array(
        all.iter()
            .map(|info| Reply::Bulk(store.get(&info.key).unwrap().unwrap().1))
            .collect(),
    ));
    let (mut reading, mut writing) = client.stream.into_split();
    let writer = tokio::spawn(async move {
        for piece in requests.chunks(1000) {
            writing.write_all(piece).await.unwrap();
        }
        writing
    });
    let mut decoder = ReplyDecoder::default();
    for (number, expected) in expected.into_iter().enumerate() {
        let reply = loop {
            if let Some(reply) = decoder.decode(&mut client.bytes).unwrap() {
                break reply;
            }
            assert_ne!(reading.read_buf(&mut client.bytes).await.unwrap(), 0);
        };
        assert!(reply == expected, "answer {number}");
    }
    drop(writer.await.unwrap());
}

mod held_back;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::store::memory::MemoryStore;
use crate::store::{BlockInfo, Cursor, Direction, StoreError, StoreStats, VerifiedBlock};
use crate::zdb::resp::{RequestDecoder, write_bulk, write_integer, write_nil, write_status};
use crate::zdb::server::{ZdbServer, ZdbServerOptions};

/// What a source does wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    /// Closes the connection after so many answers.
    CloseAfter(usize),
    /// Sends something else after so many answers.
    GarbageAfter(usize),
    /// Goes silent after so many answers.
    SilentAfter(usize),
    /// Announces nine megabytes for this key.
    TooLarge(BlockKey),
    /// Closes the connection whenever this key is asked for.
    Poison(BlockKey),
    /// Gives the wrong bytes for every key.
    Wrong,
    /// Does not know `KEYTIME`.
    NoKeyTime,
}

/// A 0-db that holds `blocks` and has a fault.
struct Source {
    blocks: HashMap<BlockKey, Bytes>,
    fault: Fault,
    payloads: AtomicUsize,
    connections: AtomicUsize,
}

const TIME: i64 = 1_600_000_000;

async fn source(blocks: &[VerifiedBlock], fault: Fault) -> (ZdbAddress, Arc<Source>) {
    let source = Arc::new(Source {
        blocks: blocks
            .iter()
            .map(|block| (*block.key(), block.payload().clone()))
            .collect(),
        fault,
        payloads: AtomicUsize::new(0),
        connections: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn({
        let source = Arc::clone(&source);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                source.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(Arc::clone(&source), stream));
            }
        }
    });
    let address = ZdbAddress::new("127.0.0.1", port, "default").unwrap();
    (address, source)
}

async fn serve(source: Arc<Source>, mut stream: TcpStream) -> Option<()> {
    let mut decoder = RequestDecoder::default();
    let mut input = BytesMut::new();
    let mut answers = 0;
    while stream.read_buf(&mut input).await.ok()? > 0 {
        let mut output = BytesMut::new();
        let mut open = true;
        while open && let Some(request) = decoder.decode(&mut input).ok()? {
            let name = request.get(0)?.bytes.to_vec();
            let key = request
                .get(1)
                .and_then(|key| BlockKey::from_bytes(key.bytes).ok());
            if name == b"GET" {
                answers += 1;
                match source.fault {
                    Fault::CloseAfter(most) => open = answers <= most,
                    Fault::GarbageAfter(most) if answers > most => {
                        output.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                        continue;
                    }
                    Fault::SilentAfter(most) if answers > most => continue,
                    Fault::TooLarge(large) if Some(large) == key => {
                        output.extend_from_slice(b"$9437184\r\nxxxx");
                        continue;
                    }
                    Fault::Poison(poison) => open = Some(poison) != key,
                    _ => {}
                }
                if !open {
                    break;
                }
            }
            let payload = key.and_then(|key| source.blocks.get(&key));
            match (&name[..], payload) {
                (b"SELECT", _) => write_status(&mut output, "OK"),
                (b"KEYTIME", _) if matches!(source.fault, Fault::NoKeyTime) => {
                    output.extend_from_slice(b"-Command not supported\r\n");
                }
                (_, None) => write_nil(&mut output),
                (b"KEYTIME", Some(_)) => write_integer(&mut output, TIME),
                (_, Some(payload)) => {
                    source.payloads.fetch_add(1, Ordering::Relaxed);
                    match source.fault {
                        Fault::Wrong => write_bulk(&mut output, &payload[1..]),
                        _ => write_bulk(&mut output, payload),
                    }
                }
            }
        }
        stream.write_all(&output).await.ok()?;
        if !open {
            return None;
        }
    }
    None
}

async fn real_server(store: Arc<dyn BlockStore>) -> ZdbAddress {
    let options = ZdbServerOptions {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        ..ZdbServerOptions::default()
    };
    let server = ZdbServer::bind(options, store).await.unwrap();
    let port = server.local_addrs()[0].port();
    tokio::spawn(server.run(CancellationToken::new()));
    ZdbAddress::new("127.0.0.1", port, "default").unwrap()
}

fn blocks(range: std::ops::Range<u32>) -> Vec<VerifiedBlock> {
    range
        .map(|number| {
            let payload = number.to_le_bytes().repeat(1 + number as usize * 37 % 900);
            VerifiedBlock::new(payload.into(), 1_500_000_000 + number).unwrap()
        })
        .collect()
}

fn keys(blocks: &[VerifiedBlock]) -> Vec<BlockKey> {
    blocks.iter().map(|block| *block.key()).collect()
}

/// Quick to try again.
fn options(sources: Vec<ZdbAddress>) -> FetchOptions {
    FetchOptions {
        retry: RetryPolicy {
            attempts: 4,
            first: Duration::from_millis(5),
            longest: Duration::from_millis(20),
        },
        ..FetchOptions::new(sources)
    }
}

/// The wanted keys, in pieces of 100.
fn wanted(keys: Vec<BlockKey>) -> mpsc::Receiver<Vec<BlockKey>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        for piece in keys.chunks(100) {
            if sender.send(piece.to_vec()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

async fn fetch(
    options: &FetchOptions,
    keys: Vec<BlockKey>,
    store: &Arc<MemoryStore>,
) -> Result<FetchReport, FetchError> {
    let fetching = fetch_blocks(
        options,
        wanted(keys),
        store.clone(),
        bcm_core::progress::none(),
        CancellationToken::new(),
    );
    tokio::time::timeout(Duration::from_secs(60), fetching)
        .await
        .expect("a fetch ends")
}

fn assert_holds(store: &MemoryStore, blocks: &[VerifiedBlock]) {
    for block in blocks {
        let (_, payload) = store.get(block.key()).unwrap().expect("it was fetched");
        assert_eq!(&payload, block.payload());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_comes_with_its_time_from_a_real_server() {
    let all = blocks(0..3000);
    let origin = Arc::new(MemoryStore::default());
    origin.put(&all).unwrap();
    let address = real_server(origin.clone()).await;
    let store = Arc::new(MemoryStore::default());
    let options = options(vec![address.clone()]);
    let report = fetch(&options, keys(&all), &store).await.unwrap();
    let bytes = origin.stats().unwrap().payload_bytes;
    let distinct = origin.stats().unwrap().blocks;
    assert_eq!(distinct, 3000);
    assert_eq!((report.fetched, report.bytes), (3000, bytes));
    assert_eq!((report.missing, report.refused.count), (0, 0));
    assert_eq!(report.sources[0].blocks, 3000);
    assert_eq!(store.stats().unwrap().blocks, 3000);
    for block in &all {
        let info = store.info(block.key()).unwrap().unwrap();
        assert_eq!(info.timestamp, block.timestamp());
    }
}

#[tokio::test]
async fn nothing_wanted_asks_nobody() {
    let (address, source) = source(&[], Fault::None).await;
    let store = Arc::new(MemoryStore::default());
    let report = fetch(&options(vec![address]), vec![], &store)
        .await
        .unwrap();
    assert_eq!(report.fetched + report.missing, 0);
    assert_eq!(source.connections.load(Ordering::Relaxed), 0);
    let error = fetch(&options(vec![]), vec![], &store).await.unwrap_err();
    assert!(matches!(error, FetchError::NoSource));
}

#[tokio::test]
async fn what_one_does_not_have_the_next_is_asked_for() {
    let all = blocks(0..600);
    let (first, _) = source(&all[..200], Fault::None).await;
    let (second, _) = source(&all[100..500], Fault::None).await;
    let (third, spare) = source(&all[..500], Fault::None).await;
    let store = Arc::new(MemoryStore::default());
    let options = options(vec![first, second, third]);
    let report = fetch(&options, keys(&all), &store).await.unwrap();
    assert_holds(&store, &all[..500]);
    assert_eq!((report.fetched, report.missing), (500, 100));
    assert_eq!(report.absent.count, 100);
    assert_eq!(report.absent.first.len(), 20);
    assert!(keys(&all[500..]).contains(&report.absent.first[0]));
    let taken: Vec<_> = report
        .sources
        .iter()
        .map(|s| (s.blocks, s.absent))
        .collect();
    assert_eq!(taken, [(200, 400), (300, 100), (0, 100)]);
    assert_eq!(spare.payloads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn wrong_bytes_never_enter_and_the_next_is_asked() {
    let all = blocks(0..300);
    let (lying, _) = source(&all, Fault::Wrong).await;
    let (honest, _) = source(&all[..250], Fault::None).await;
    let store = Arc::new(MemoryStore::default());
    let options = options(vec![lying.clone(), honest]);
    let report = fetch(&options, keys(&all), &store).await.unwrap();
    assert_holds(&store, &all[..250]);
    assert_eq!(store.stats().unwrap().blocks, 250);
    assert_eq!((report.fetched, report.missing), (250, 50));
    assert_eq!(report.refused.count, 300);
    assert_eq!(report.refused.first.len(), 20);
    assert_eq!(report.refused.first[0].source, lying);
    assert!(report.refused.first[0].reason.contains("do not hash"));
    // They exist somewhere, in whatever form.
    assert_eq!(report.absent.count, 0);
}

#[tokio::test]
async fn a_broken_connection_goes_on_where_it_was() {
    let all = blocks(0..1000);
    let (address, source) = source(&all, Fault::CloseAfter(60)).await;
    let store = Arc::new(MemoryStore::default());
    let report = fetch(&options(vec![address]), keys(&all), &store)
        .await
        .unwrap();
    assert_holds(&store, &all);
    assert_eq!((report.fetched, report.missing), (1000, 0));
    assert!(report.sources[0].failures >= 10, "{report:?}");
    assert_eq!(report.refused.count, 0, "{report:?}");
    // What was answered is not asked for again, but for what was lost on its way.
    let payloads = source.payloads.load(Ordering::Relaxed);
    assert!(payloads < 2500, "{payloads} payloads for 1000 blocks");
}

#[tokio::test]
async fn a_source_that_is_down_or_talks_nonsense_is_replaced() {
    let all = blocks(0..500);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let down = ZdbAddress::new("127.0.0.1", port, "default").unwrap();
    let (confused, nonsense) = source(&all, Fault::GarbageAfter(0)).await;
    let (silent, _) = source(&all, Fault::SilentAfter(3)).await;
    let (good, _) = source(&all, Fault::None).await;
    let elsewhere = real_server(Arc::new(MemoryStore::default())).await;
    let elsewhere = ZdbAddress::new("127.0.0.1", elsewhere.port(), "nowhere").unwrap();
    let patient = ClientOptions::default().idle;
    for (bad, idle) in [
        (down, patient),
        (confused, patient),
        (silent, Duration::from_millis(400)),
        (elsewhere, patient),
    ] {
        let store = Arc::new(MemoryStore::default());
        let mut options = options(vec![bad.clone(), good.clone()]);
        options.client.idle = idle;
        let report = fetch(&options, keys(&all), &store).await.unwrap();
        assert_holds(&store, &all);
        assert_eq!((report.fetched, report.missing), (500, 0), "{bad}");
        let reason = report.sources[0].down.as_ref().expect("it was given up");
        assert!(reason.contains(&bad.authority()), "{reason}");
        assert!(report.sources[1].down.is_none());
    }
    assert!(nonsense.connections.load(Ordering::Relaxed) <= 4 * 4);
}

#[tokio::test]
async fn all_down_is_an_error_that_says_so() {
    let all = blocks(0..200);
    let (silent, _) = source(&all, Fault::SilentAfter(0)).await;
    let (confused, _) = source(&all, Fault::GarbageAfter(0)).await;
    let store = Arc::new(MemoryStore::default());
    let mut options = options(vec![silent, confused]);
    options.connections = 1;
    options.client.idle = Duration::from_millis(100);
    let (sender, receiver) = mpsc::channel(1);
    sender.send(keys(&all)).await.unwrap();
    // More keys may come at any time: nobody waits for them.
    let fetching = fetch_blocks(
        &options,
        receiver,
        store.clone(),
        bcm_core::progress::none(),
        CancellationToken::new(),
    );
    let error = tokio::time::timeout(Duration::from_secs(60), fetching)
        .await
        .expect("it does not wait")
        .unwrap_err();
    assert!(error.to_string().contains("all 2 0-dbs"), "{error}");
    let report = error.report().unwrap();
    assert!(report.sources.iter().all(|source| source.down.is_some()));
    assert_eq!(store.stats().unwrap().blocks, report.fetched);
    assert!(sender.is_closed());
}

#[tokio::test]
async fn one_bad_key_does_not_cost_the_others() {
    let all = blocks(0..400);
    let bad = *all[123].key();
    for fault in [Fault::TooLarge(bad), Fault::Poison(bad)] {
        let (address, _) = source(&all, fault).await;
        let store = Arc::new(MemoryStore::default());
        let report = fetch(&options(vec![address]), keys(&all), &store)
            .await
            .unwrap();
        assert_eq!((report.fetched, report.missing), (399, 1), "{fault:?}");
        assert_eq!(report.refused.count, 1, "{fault:?}");
        assert_eq!(report.refused.first[0].key, bad);
        assert_eq!(store.info(&bad).unwrap(), None);
    }
}

#[tokio::test]
async fn times_are_optional_on_both_sides() {
    let all = blocks(0..50);
    let (old, _) = source(&all, Fault::NoKeyTime).await;
    let (new, _) = source(&all, Fault::None).await;
    let now = super::stages::timestamp(None);
    for (address, timestamps, expected) in [
        (old, true, None),
        (new.clone(), false, None),
        (new, true, Some(TIME as u32)),
    ] {
        let store = Arc::new(MemoryStore::default());
        let options = FetchOptions {
            timestamps,
            ..options(vec![address])
        };
        assert_eq!(
            fetch(&options, keys(&all), &store).await.unwrap().fetched,
            50
        );
        let time = store.info(all[7].key()).unwrap().unwrap().timestamp;
        match expected {
            Some(expected) => assert_eq!(time, expected),
            None => assert!(time >= now && time < now + 60, "{time}"),
        }
    }
    for impossible in [-1, i64::from(u32::MAX) + 1, i64::MIN, i64::MAX] {
        assert!(super::stages::timestamp(Some(impossible)) >= now);
    }
    assert_eq!(super::stages::timestamp(Some(0)), 0);
}

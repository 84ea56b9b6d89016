//! The 0-db client against a 0-db that was written from recordings alone, and that breaks.

use std::future::Future;
use std::time::Duration;

use bcm_hub_sync::zdb::ZdbAddress;
use bcm_hub_sync::zdb::client::{ClientError, ClientOptions, ZdbClient};
use bcm_tests::fixtures;
use bcm_tests::origin::{BlockFault, Origin};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(work)
}

async fn connect(origin: &Origin, idle: Duration) -> ZdbClient {
    let address: ZdbAddress = origin.zdb_url().parse().expect("an address");
    let options = ClientOptions {
        idle,
        ..ClientOptions::default()
    };
    ZdbClient::connect(&address, &options)
        .await
        .expect("a connection")
}

#[test]
fn every_block_comes_through_a_pipeline() {
    let origin = Origin::recorded();
    let mut keys: Vec<_> = fixtures::blocks().iter().map(|b| b.key_bytes()).collect();
    keys.insert(70, vec![0; 16]);
    let mut got = Vec::new();
    run(async {
        let mut client = connect(&origin, Duration::from_secs(30)).await;
        let take = |key: &Vec<u8>, payload| got.push((key.clone(), payload));
        client.get_many(&keys, 32, take).await.expect("all of them");
    });
    assert_eq!(got.len(), 137);
    assert_eq!(got.remove(70).1, None);
    for (block, (key, payload)) in fixtures::blocks().iter().zip(got) {
        assert_eq!(key, block.key_bytes());
        assert_eq!(payload.expect("it is there"), block.payload());
    }
}

#[test]
fn a_scan_in_pages_gives_the_recorded_order() {
    let origin = Origin::recorded();
    origin.edit_blocks(|_| ());
    origin.scan_page(50);
    let mut scanned = Vec::new();
    run(async {
        let mut client = connect(&origin, Duration::from_secs(30)).await;
        let mut cursor = None;
        while let Some(page) = client.scan(cursor.as_deref()).await.expect("a page") {
            scanned.extend(page.entries);
            cursor = Some(page.cursor);
        }
        let unknown = client.scan(Some(b"never given")).await;
        assert!(
            matches!(unknown, Err(ClientError::Refused { .. })),
            "{unknown:?}"
        );
    });
    let recorded = fixtures::blocks();
    assert_eq!(scanned.len(), recorded.len());
    for (found, block) in scanned.iter().zip(recorded) {
        assert_eq!(found.key, block.key_bytes());
        assert_eq!(found.size, block.size as u64);
        assert_eq!(found.timestamp, i64::from(block.timestamp));
    }
}

#[test]
fn what_breaks_is_an_error_in_time() {
    let key = fixtures::blocks()[3].key.clone();
    let faults = [
        BlockFault::Oversize(9 * 1024 * 1024),
        BlockFault::Oversize(u64::MAX >> 1),
        BlockFault::Garbage,
        BlockFault::Error("Namespace not found".into()),
        BlockFault::Stall,
        BlockFault::Cut,
    ];
    for fault in faults {
        let origin = Origin::recorded();
        origin.block_fault(&key, fault.clone());
        let result = run(async {
            let idle = match fault {
                BlockFault::Stall => Duration::from_millis(500),
                _ => Duration::from_secs(30),
            };
            let mut client = connect(&origin, idle).await;
            client.get(&fixtures::unhex(&key)).await
        });
        let error = result.expect_err("it is broken");
        let host = origin.zdb_addr().to_string();
        assert!(error.to_string().contains(&host), "{fault:?}: {error}");
        let refused = matches!(fault, BlockFault::Error(_));
        assert_eq!(error.is_transient(), !refused, "{fault:?}: {error:?}");
    }
}

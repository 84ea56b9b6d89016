//! Blocks fetched from a 0-db in which one block, or one connection in so many replies, is bad.

use std::sync::Arc;
use std::time::Duration;

use bcm_core::retry::RetryPolicy;
use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::store::embedded::{Access, EmbeddedStore};
use bcm_hub_sync::sync::blocks::{FetchError, FetchOptions, FetchReport, fetch_blocks};
use bcm_hub_sync::zdb::client::ClientOptions;
use bcm_tests::fixtures;
use bcm_tests::origin::{BlockFault, Origin};
use tokio_util::sync::CancellationToken;

/// How long a reply may take where nothing stalls.
const PATIENT: Duration = Duration::from_secs(30);

fn key(block: &fixtures::Block) -> BlockKey {
    BlockKey::from_bytes(&block.key_bytes()).expect("a key")
}

/// Fetches every recorded block from `origins` into a fresh embedded store.
fn fetch(
    origins: &[&Origin],
    idle: Duration,
) -> (Result<FetchReport, FetchError>, Vec<fixtures::Block>) {
    let sources = origins
        .iter()
        .map(|o| o.zdb_url().parse().expect("an address"));
    let options = FetchOptions {
        client: ClientOptions {
            idle,
            ..ClientOptions::default()
        },
        retry: RetryPolicy {
            attempts: 4,
            first: Duration::from_millis(1),
            longest: Duration::from_millis(5),
        },
        ..FetchOptions::new(sources.collect())
    };
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedStore::open(folder.path().join("blocks"), Access::ReadWrite);
    let store: Arc<dyn BlockStore> = Arc::new(store.expect("a store"));
    let (send, wanted) = tokio::sync::mpsc::channel(8);
    let result = tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(async {
            let feed = async {
                for keys in fixtures::blocks().chunks(10) {
                    // Nobody takes them any more once the fetch has failed.
                    let _ = send.send(keys.iter().map(key).collect()).await;
                }
                drop(send);
            };
            let cancel = CancellationToken::new();
            let progress = bcm_core::progress::none();
            let fetching = fetch_blocks(&options, wanted, Arc::clone(&store), progress, cancel);
            tokio::join!(fetching, feed).0
        });
    drop(store);
    // Read again by another handle: it is on disk.
    let store = EmbeddedStore::open(folder.path().join("blocks"), Access::ReadOnly);
    let store = store.expect("a store");
    let mut stored = Vec::new();
    for block in fixtures::blocks() {
        if let Some((info, payload)) = store.get(&key(&block)).expect("a read") {
            assert_eq!(payload, block.payload(), "{}", block.key);
            assert_eq!(info.timestamp, block.timestamp, "{}", block.key);
            stored.push(block);
        }
    }
    (result, stored)
}

#[test]
fn all_of_them_with_their_times() {
    let (result, stored) = fetch(&[&Origin::recorded()], PATIENT);
    let report = result.expect("a report");
    assert_eq!((report.fetched, report.missing), (136, 0));
    assert_eq!(stored.len(), 136);
}

/// Whatever one block does to the connection, all others come, and it is the one that is named.
#[test]
fn one_bad_block_costs_no_other() {
    let blocks = fixtures::blocks();
    let other = blocks[0].payload();
    let faults = [
        BlockFault::Absent,
        BlockFault::Bytes(other.into()),
        BlockFault::Bytes(Vec::new().into()),
        BlockFault::Oversize(9 * 1024 * 1024),
        BlockFault::Garbage,
        BlockFault::Error("Internal error".into()),
        BlockFault::Cut,
        BlockFault::Stall,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let bad = &blocks[(number + 1) * 15];
        let origin = Origin::recorded();
        origin.block_fault(&bad.key, fault.clone());
        let stalls = matches!(fault, BlockFault::Stall);
        let idle = if stalls {
            Duration::from_millis(600)
        } else {
            PATIENT
        };
        let (result, stored) = fetch(&[&origin], idle);
        let report = result.unwrap_or_else(|e| panic!("{fault:?}: {e}: {:?}", e.report()));
        assert_eq!(
            (report.fetched, report.missing),
            (135, 1),
            "{fault:?}: {report:?}"
        );
        assert!(!stored.contains(bad), "{fault:?}");
        let named = format!(
            "{:?}{:?}{:?}",
            report.absent, report.refused, report.unanswered
        );
        assert!(named.contains(&bad.key), "{fault:?}: {report:?}");
    }
}

#[test]
fn a_second_source_has_what_the_first_one_lacks() {
    let (first, second) = (Origin::recorded(), Origin::recorded());
    let blocks = fixtures::blocks();
    first.block_fault(&blocks[5].key, BlockFault::Absent);
    first.block_fault(&blocks[50].key, BlockFault::Bytes(vec![1; 100].into()));
    second.block_fault(&blocks[6].key, BlockFault::Absent);
    let (result, stored) = fetch(&[&first, &second], PATIENT);
    assert_eq!(result.expect("a report").missing, 0);
    assert_eq!(stored.len(), 136);
    assert!(second.commands()["GET"] < 10, "{:?}", second.commands());
}

#[test]
fn connections_that_end_early_are_made_again() {
    let origin = Origin::recorded();
    for replies in [4, 7, 30] {
        origin.hang_up_after(Some(replies));
        let (result, stored) = fetch(&[&origin], PATIENT);
        assert_eq!(result.expect("a report").missing, 0, "{replies}");
        assert_eq!(stored.len(), 136, "{replies}");
    }
}

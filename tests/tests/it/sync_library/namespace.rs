//! `blocks = "all"`: the whole namespace, not only what flists name.

use std::time::Duration;

use bcm_hub_sync::block::BlockKey;
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::sync::{BlockMode, SyncReport};
use bcm_tests::fixtures;
use bcm_tests::origin::BlockFault;

use super::{Mirror, reason};

/// Blocks that no flist names.
fn loose(numbers: std::ops::Range<u32>) -> Vec<(BlockKey, Vec<u8>)> {
    let one = |number: u32| {
        let payload = number.to_le_bytes().repeat(20 + number as usize % 50);
        (BlockKey::of(&payload), payload)
    };
    numbers.map(one).collect()
}

fn mirror() -> Mirror {
    let mut mirror = Mirror::new();
    mirror.config.blocks = BlockMode::All;
    mirror.origin.scan_page(7);
    mirror.origin.edit(|_| ());
    add(&mirror, 0..100);
    mirror
}

fn add(mirror: &Mirror, numbers: std::ops::Range<u32>) {
    mirror.origin.edit_blocks(|blocks| {
        for (key, payload) in loose(numbers) {
            blocks.put(key.as_bytes().to_vec(), payload, 1_700_000_000);
        }
    });
}

fn count(mirror: &Mirror) -> u64 {
    mirror.store.stats().expect("the store").blocks
}

fn asked(mirror: &Mirror, command: &str) -> u64 {
    mirror.origin.commands().get(command).copied().unwrap_or(0)
}

fn recorded() -> u64 {
    fixtures::blocks().len() as u64
}

#[test]
fn every_block_is_mirrored_and_then_only_what_is_new() {
    let mirror = mirror();
    let report = mirror.complete();
    assert_eq!(count(&mirror), recorded() + 100);
    assert_eq!(report.counts.blocks, recorded() + 100);
    mirror.assert_equal();
    mirror.origin.forget_counts();
    let again = mirror.complete();
    assert_eq!(again.counts.blocks, 0);
    assert_eq!((asked(&mirror, "SCANX"), asked(&mirror, "GET")), (1, 0));
    add(&mirror, 100..110);
    mirror.origin.forget_counts();
    let more = mirror.complete();
    assert_eq!(more.counts.blocks, 10);
    assert_eq!((asked(&mirror, "SCANX"), asked(&mirror, "GET")), (3, 10));
    assert_eq!(count(&mirror), recorded() + 110);
}

#[test]
fn a_source_that_breaks_off_again_and_again_is_mirrored_in_the_end() {
    let mut mirror = mirror();
    mirror.config.fetch.retry.attempts = 1;
    mirror.origin.hang_up_after(Some(60));
    // How far each gets depends on which connection asks for what.
    for _ in 0..21 {
        mirror.sync();
    }
    mirror.origin.hang_up_after(None);
    mirror.origin.forget_counts();
    mirror.complete();
    assert_eq!(count(&mirror), recorded() + 100);
    let total = recorded() + 100;
    assert!(
        asked(&mirror, "GET") < total,
        "what was stored is not fetched again"
    );
}

#[test]
fn a_compacted_upstream_is_scanned_again_without_fetching_anything_twice() {
    let mirror = mirror();
    mirror.complete();
    mirror
        .origin
        .edit_blocks(bcm_tests::origin::Blocks::compact);
    add(&mirror, 200..203);
    mirror.origin.forget_counts();
    let report = mirror.complete();
    assert_eq!(report.counts.blocks, 3);
    assert_eq!(asked(&mirror, "GET"), 3);
    assert_eq!(count(&mirror), recorded() + 103);
}

#[test]
fn a_scan_that_goes_in_a_circle_is_refused_and_the_rest_is_mirrored() {
    for length in [1, 2, 5] {
        let mirror = mirror();
        mirror.origin.scan_circle(Some(length));
        let report = mirror.partial();
        let why = reason(&report.deferred, "the namespace");
        assert!(
            why.contains("SCANX") || why.contains("in a circle"),
            "{why}"
        );
        mirror.assert_equal();
        assert!(asked(&mirror, "SCANX") < 40, "{}", asked(&mirror, "SCANX"));
        mirror.origin.scan_circle(None);
        mirror.complete();
        assert_eq!(count(&mirror), recorded() + 100);
    }
}

fn delete(mirror: &Mirror, keys: &[BlockKey]) {
    mirror.origin.edit_blocks(|blocks| {
        for key in keys {
            blocks.delete(key.as_bytes());
        }
    });
}

fn keys(numbers: std::ops::Range<u32>) -> Vec<BlockKey> {
    loose(numbers).into_iter().map(|(key, _)| key).collect()
}

/// How many blocks were deleted, and how many wait for it.
fn gone(report: &SyncReport) -> (u64, u64) {
    let counts = &report.counts;
    (counts.blocks_deleted, counts.blocks_awaiting_deletion)
}

#[test]
fn deleted_blocks_go_after_the_time_of_grace_and_named_ones_stay() {
    let mut mirror = mirror();
    mirror.config.delete_after = Some(Duration::from_secs(7 * 24 * 3600));
    mirror.complete();
    let named: BlockKey = fixtures::blocks()[0].key.parse().expect("a key");
    delete(&mirror, &keys(10..15));
    delete(&mirror, &[named]);
    assert_eq!(gone(&mirror.complete()), (0, 6));
    assert_eq!(count(&mirror), recorded() + 100);
    // One comes back.
    add(&mirror, 10..11);
    assert_eq!(gone(&mirror.complete()), (0, 5));

    mirror.config.delete_after = Some(Duration::ZERO);
    assert_eq!(gone(&mirror.complete()), (4, 1));
    assert_eq!(count(&mirror), recorded() + 96);
    assert!(
        mirror.holds(&named.to_string()),
        "a published flist names it"
    );
    let held = mirror.store.contains(&keys(10..16)).expect("the store");
    assert_eq!(held, [true, false, false, false, false, true]);
    mirror.config.delete_after = None;
    mirror.complete();
}

#[test]
fn what_a_snapshot_names_stays() {
    let mut mirror = mirror();
    mirror.config.delete_after = Some(Duration::ZERO);
    mirror.config.max_delete = 1.0;
    mirror.complete();
    let flists = fixtures::flists();
    let own: Vec<BlockKey> = flists["tf-bootable/ubuntu-tiny.flist"]
        .chunks
        .iter()
        .filter(|key| {
            let others = flists.iter().filter(|(name, _)| !name.contains("ubuntu"));
            !others
                .flat_map(|(_, flist)| &flist.chunks)
                .any(|k| k == *key)
        })
        .map(|key| key.parse().expect("a key"))
        .collect();
    assert!(own.len() > 5);
    mirror.origin.edit(|users| {
        users
            .repository("tf-bootable")
            .nodes
            .remove("ubuntu-tiny.flist");
    });
    delete(&mirror, &own);
    mirror.complete();
    mirror.complete();
    assert!(
        !mirror
            .layout
            .users()
            .join("tf-bootable/ubuntu-tiny.flist")
            .exists()
    );
    let held = mirror.store.contains(&own).expect("the store");
    assert!(
        held.iter().all(|held| *held),
        "the first sync left a snapshot"
    );
}

#[test]
fn when_much_is_gone_at_once_nothing_is_deleted() {
    let mut mirror = mirror();
    mirror.config.max_delete = 0.3;
    mirror.complete();
    delete(&mirror, &keys(0..90));
    let report = mirror.partial();
    assert_eq!(gone(&report), (0, 90));
    assert_eq!(report.guard.as_ref().map(|guard| guard.missing), Some(90));
    assert_eq!(count(&mirror), recorded() + 100);
}

#[test]
fn a_block_that_cannot_be_had_is_named_and_tried_again() {
    let mirror = mirror();
    let bad = keys(5..6)[0].to_string();
    mirror
        .origin
        .block_fault(&bad, BlockFault::Bytes("something else".into()));
    let report = mirror.partial();
    let why = reason(&report.refused, &format!("block {bad}"));
    assert!(why.contains("do not hash to its key"), "{why}");
    assert_eq!(count(&mirror), recorded() + 99);
    mirror.partial();
    mirror.origin.heal();
    mirror.origin.forget_counts();
    mirror.complete();
    assert_eq!(count(&mirror), recorded() + 100);
    assert_eq!(asked(&mirror, "GET"), 1);
}

#[test]
fn what_is_no_block_is_passed_over() {
    let mirror = mirror();
    mirror.origin.edit_blocks(|blocks| {
        blocks.put(b"a note".to_vec(), "not a block", 1);
        blocks.put(vec![7; 100], "neither", 1);
    });
    mirror.complete();
    assert_eq!(count(&mirror), recorded() + 100);
    mirror.complete();
}

/// A limit makes it slower, however fast or slow the machine is.
#[test]
fn a_limit_on_requests_holds_for_scans_and_for_comparing() {
    use bcm_core::limiter::Limiter;
    let mut mirror = mirror();
    mirror.origin.scan_page(1);
    let listed = recorded() + 100;
    mirror.complete();
    mirror
        .origin
        .edit_blocks(bcm_tests::origin::Blocks::compact);
    let limited = |mirror: &mut Mirror, a_second: u64, requests: u64| {
        mirror.config.fetch.limiter = Limiter::new(None, Some(a_second));
        let begin = std::time::Instant::now();
        mirror.sync();
        let least = requests as f64 / a_second as f64 - 1.0;
        assert!(begin.elapsed().as_secs_f64() >= least, "{requests}");
    };
    // Its cursor is refused: it is scanned from the beginning, with one key a page.
    limited(&mut mirror, listed / 2, listed);
    mirror.config.fetch.limiter = Limiter::default();
    delete(&mirror, &keys(0..1));
    // Nothing else is asked for than whether each is there.
    limited(&mut mirror, listed / 2, listed);
}

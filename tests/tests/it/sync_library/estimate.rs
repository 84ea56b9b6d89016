//! How much room a mirror will need, as its upstream says it.

use super::*;
use bcm_core::progress::NoProgress;
use bcm_hub_sync::catalog::selection::{Profile, Selection};
use bcm_hub_sync::sync::estimate::{Estimate, Flists};
use bcm_hub_sync::sync::{BlockMode, estimate};
use bcm_tests::origin::HttpFault;

fn estimated(config: &SyncConfig) -> Estimate {
    run(estimate(config, &NoProgress)).expect("an estimate")
}

fn stored(origin: &Origin) -> u64 {
    origin.edit_blocks(|blocks| blocks.payload_bytes())
}

#[test]
fn all_of_a_hub_needs_all_of_its_blocks() {
    let origin = Origin::recorded();
    let bytes = stored(&origin);
    let mut config = config(&[&origin]);
    let all = estimated(&config);
    let flists = fixtures::flists();
    assert_eq!(all.flists.count, flists.len() as u64);
    assert_eq!(all.block_bytes, Some(bytes));
    assert_eq!(all.bytes(), bytes + all.flists.bytes);
    assert!(all.unknown.is_empty() && all.upstream.starts_with(&origin.url()));

    config.blocks = BlockMode::None;
    origin.forget_counts();
    assert_eq!(estimated(&config).block_bytes, Some(0));
    assert!(origin.commands().is_empty(), "the 0-db was asked in vain");
}

#[test]
fn a_part_of_a_hub_needs_as_large_a_part_of_its_blocks() {
    let origin = Origin::recorded();
    let bytes = stored(&origin);
    let mut config = config(&[&origin]);
    let all = estimated(&config).flists;
    config.selection =
        Selection::new(&[] as &[&str], &[] as &[&str], Some(Profile::Zos)).expect("globs");
    let part = estimated(&config);
    assert!(part.flists.count > 0 && part.flists.bytes < all.bytes);
    let share = u128::from(bytes) * u128::from(part.flists.bytes) / u128::from(all.bytes);
    assert_eq!(part.block_bytes.map(u128::from), Some(share));

    // A hub without `/api/fileslist` is asked for every repository, for the whole has to be known.
    origin.fault("/api/fileslist", HttpFault::status(404));
    assert_eq!(estimated(&config), part);

    config.blocks = BlockMode::All;
    assert_eq!(estimated(&config).block_bytes, Some(bytes));

    config.selection = Selection::new(&["nobody"], &[] as &[&str], None).expect("globs");
    config.blocks = BlockMode::Closure;
    let nothing = estimated(&config);
    assert_eq!(nothing.flists, Flists::default());
    assert_eq!(nothing.block_bytes, Some(0));
}

#[test]
fn a_0_db_that_does_not_say_leaves_the_blocks_unknown() {
    let (origin, other) = (Origin::recorded(), Origin::recorded());
    stored(&other);
    other.stop();
    let mut config = config(&[&origin]);
    config.upstream_zdb = vec![other.zdb_url().parse().expect("an address")];
    let estimate = estimated(&config);
    assert_eq!(estimate.block_bytes, None);
    assert_eq!(estimate.bytes(), estimate.flists.bytes);
    let [reason] = &estimate.unknown[..] else {
        panic!("{estimate:?}");
    };
    let address = other.zdb_addr().to_string();
    assert!(reason.contains(&address), "{reason}");

    // The next one is asked.
    let bytes = stored(&origin);
    let next = origin.zdb_url().parse().expect("an address");
    config.upstream_zdb.push(next);
    assert_eq!(estimated(&config).block_bytes, Some(bytes));
}

#[test]
fn a_hub_that_does_not_answer_is_named_and_the_next_is_asked() {
    let (silent, good) = (Origin::recorded(), Origin::recorded());
    silent.fault("*", HttpFault::Hangup);
    let bytes = stored(&good);
    let mut config = config(&[&silent]);
    let error = run(estimate(&config, &NoProgress)).expect_err("nothing to list");
    let said = bcm_core::cause::chain(&error);
    assert!(said.contains(&silent.url()), "{said}");
    config = super::config(&[&silent, &good]);
    config.upstream_zdb.remove(0);
    let estimate = estimated(&config);
    assert!(estimate.upstream.starts_with(&good.url()));
    assert_eq!(estimate.block_bytes, Some(bytes));
}

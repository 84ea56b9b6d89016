//! `kill -9` at any moment loses nothing, and the next sync goes on from there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_tests::chance::Chance;
use bcm_tests::mirror::{Mirror, blocks_of};
use bcm_tests::origin::Origin;

const KILLS: u32 = 20;

/// What goes on from what another left asks for less, and may end before it is killed.
const TRIES: u32 = 5 * KILLS;

#[test]
fn a_sync_can_be_killed_at_any_moment() {
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    let seed = u64::from(clock.subsec_nanos());
    println!("seed {seed}");
    let mut chance = Chance::new(seed);

    let origin = Origin::recorded();
    let undisturbed = Mirror::new();
    undisturbed.sync(&origin, &[]).assert_code(0);
    // So slow that what is asked for comes one after the other.
    origin.slow(Duration::from_millis(10), Duration::from_millis(4));
    origin.forget_counts();
    Mirror::new().sync(&origin, &[]).assert_code(0);
    let whole = origin.asked();

    let expected = undisturbed.users();
    let expected_blocks = blocks_of(undisturbed.serve().zdb);
    let mut mirror = Mirror::new();
    let mut killed = 0;
    for kill in 0..TRIES {
        if killed == KILLS {
            break;
        }
        let after = 1 + chance.below(whole);
        origin.forget_counts();
        let mut running = mirror.start_sync(&origin, &[]);
        while running.is_running() && origin.asked() < after {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Not always while it waits for an answer.
        std::thread::sleep(Duration::from_micros(chance.below(20_000)));
        let ended = running.kill();
        killed += u32::from(ended.status.code().is_none());
        // What readers see is whole at any moment, also right after the kill.
        if mirror.data().join("hub/users").exists() {
            let verified = mirror.verify();
            assert_eq!(
                verified.code(),
                0,
                "seed {seed}: damage after kill {kill} at request {after}: {verified}"
            );
        }
        // Every third time from the beginning; else the next kill meets what the last one left.
        if kill % 3 == 2 {
            mend_and_compare(&mirror, &origin, &expected, &expected_blocks, seed);
            mirror = Mirror::new();
        }
    }
    mend_and_compare(&mirror, &origin, &expected, &expected_blocks, seed);
    assert_eq!(
        killed, KILLS,
        "seed {seed}: too few syncs were there to be killed"
    );
}

fn mend_and_compare(
    mirror: &Mirror,
    origin: &Origin,
    expected: &bcm_tests::tree::Tree,
    expected_blocks: &std::collections::BTreeMap<String, (Vec<u8>, Vec<u8>)>,
    seed: u64,
) {
    let ended = mirror.sync(origin, &[]);
    assert_eq!(ended.code(), 0, "seed {seed}: {ended}");
    expected.assert_same(&mirror.users(), &format!("seed {seed}: after the kills"));
    let verified = mirror.verify();
    assert_eq!(verified.code(), 0, "seed {seed}: {verified}");
    let blocks = blocks_of(mirror.serve().zdb);
    assert!(blocks == *expected_blocks, "seed {seed}: the blocks differ");
    mirror.assert_nothing_outside();
}

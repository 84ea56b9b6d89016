//! How much room a mirror will need, as its upstream says it.

use bcm_bootstrap_sync::sync::estimate;
use bcm_bootstrap_sync::sync::estimate::Estimate;
use bcm_tests::bootstrap::{Bootstrap, Fault};

use super::{Mirror, everything, now};

fn estimated(mirror: &Mirror) -> Estimate {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(estimate(&mirror.config)).unwrap()
}

#[test]
fn the_kernels_of_the_policy_count() {
    let origin = Bootstrap::small(now());
    let mut mirror = Mirror::of(&[&origin]);
    let year = estimated(&mirror);
    assert_eq!((year.kernels, year.bytes), (4, Some(900_001)));
    mirror.config.policy.newest = Some(1);
    let newest = estimated(&mirror);
    assert_eq!((newest.kernels, newest.bytes), (1, Some(150_000)));
    mirror.config.policy = everything();
    let all = estimated(&mirror);
    assert_eq!((all.kernels, all.bytes), (5, Some(1_000_001)));
    assert!(!mirror.layout.root().exists(), "nothing is written");
    assert!(
        origin
            .take_log()
            .iter()
            .all(|asked| { asked.method == "HEAD" || asked.path == "/api/images" })
    );
}

#[test]
fn a_page_without_times_will_do() {
    let origin = Bootstrap::small(now());
    origin.without_json();
    let year = estimated(&Mirror::of(&[&origin]));
    assert_eq!((year.kernels, year.bytes), (4, Some(900_001)));
}

#[test]
fn of_many_kernels_some_are_asked() {
    let origin = Bootstrap::new();
    for number in 0..100 {
        origin.publish(&format!("zero-os-{number:03}.efi"), now(), vec![7; 1000]);
    }
    let estimate = estimated(&Mirror::of(&[&origin]));
    assert_eq!((estimate.kernels, estimate.bytes), (100, Some(100_000)));
    let heads = origin.take_log();
    let heads = heads.iter().filter(|asked| asked.method == "HEAD").count();
    assert!((10..=32).contains(&heads), "{heads}");
}

#[test]
fn sizes_that_nobody_says_are_not_known() {
    let origin = Bootstrap::new();
    origin.publish("zero-os.efi", now(), vec![7; 1000]);
    origin.fail("/kernel/zero-os.efi", Fault::Status(500), u64::MAX);
    let estimate = estimated(&Mirror::of(&[&origin]));
    assert_eq!((estimate.kernels, estimate.bytes), (1, None));
}

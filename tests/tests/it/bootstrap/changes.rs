//! Upstreams that change.

use std::fs;
use std::time::Duration;

use bcm_bootstrap_sync::report::SyncOutcome;
use bcm_tests::bootstrap::{Bootstrap, content};

use super::{Mirror, now};

const PROD: &str = "zero-os-production-2.efi";

#[test]
fn a_kernel_that_is_published_again_replaces_the_old_one() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    origin.publish(PROD, now() - 5, content("again", 123_456));
    let report = mirror.sync();
    assert_eq!((report.counts.changed, report.counts.new), (1, 0));
    assert_eq!(report.replaced[0].name.as_str(), PROD);
    assert_ne!(report.replaced[0].from, report.replaced[0].to);
    assert_eq!(mirror.kernel(PROD).unwrap(), content("again", 123_456));
    assert_eq!(mirror.link("prod").unwrap(), format!("../{PROD}"));
    assert!(mirror.sync().nothing_to_do);
}

#[test]
fn only_a_new_time_is_only_noted() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    let time = now() - 100;
    origin.publish(PROD, time, content(PROD, 300_001));
    let report = mirror.sync();
    assert_eq!((report.counts.changed, report.counts.new), (0, 0));
    let name = PROD.parse().unwrap();
    assert_eq!(mirror.manifest().kernels[&name].timestamp, time);
    assert!(mirror.sync().nothing_to_do);
}

#[test]
fn a_run_mode_that_moves_is_followed_and_reported() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    origin.publish(
        "zero-os-production-9.efi",
        now() - 9,
        content("nine", 90_000),
    );
    origin.link("prod", "zero-os-production-9.efi");
    let report = mirror.sync();
    let moved = &report.moved[..];
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0].mode.as_str(), "prod");
    assert_eq!(moved[0].from.as_ref().unwrap().as_str(), PROD);
    assert_eq!(moved[0].to.as_str(), "zero-os-production-9.efi");
    assert_eq!(mirror.link("prod").unwrap(), "../zero-os-production-9.efi");
    // A run mode that is gone upstream stays here.
    origin.unlink("qa");
    let report = mirror.sync();
    assert_eq!(report.warnings.len(), 1, "{report:?}");
    assert_eq!(mirror.link("qa").unwrap(), "../zero-os-production-1.efi");
}

#[test]
fn what_disappears_waits_and_a_linked_kernel_stays() {
    let origin = Bootstrap::small(now());
    let mut mirror = Mirror::of(&[&origin]);
    mirror.config.max_delete = 0.6;
    mirror.sync();
    origin.publish("x.efi", now() - 9, content("x", 1000));
    mirror.sync();
    origin.remove("x.efi");
    origin.remove("zero-os-testing-3.efi");
    let report = mirror.sync();
    assert_eq!(report.awaiting_deletion.len(), 1, "{report:?}");
    assert!(mirror.kernel("x.efi").is_some());
    mirror.config.delete_after = Some(Duration::ZERO);
    let report = mirror.sync();
    assert_eq!(report.deleted.len(), 1);
    assert_eq!(mirror.kernel("x.efi"), None);
    // The test network still boots from it here.
    assert!(mirror.kernel("zero-os-testing-3.efi").is_some());
    assert!(mirror.link("test").is_some());
}

#[test]
fn an_upstream_that_lists_nothing_deletes_nothing() {
    let origin = Bootstrap::small(now());
    let mut mirror = Mirror::of(&[&origin]);
    mirror.config.delete_after = Some(Duration::ZERO);
    mirror.sync();
    let before = mirror.names();
    origin.say_index(Some("[]"));
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Partial);
    assert!(report.guard.is_some());
    assert_eq!(mirror.names(), before);
}

#[test]
fn damage_here_is_mended() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    fs::write(mirror.layout.kernels().join(PROD), "damaged").unwrap();
    fs::remove_file(mirror.layout.links().join("dev.efi")).unwrap();
    fs::remove_file(mirror.layout.kernels().join("zero-os-testing-3.efi")).unwrap();
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!(mirror.kernel(PROD).unwrap(), content(PROD, 300_001));
    assert!(mirror.kernel("zero-os-testing-3.efi").is_some());
    assert_eq!(mirror.link("dev").unwrap(), "../zero-os-development-4.efi");
    assert!(mirror.sync().nothing_to_do);
}

#[test]
fn a_lost_manifest_costs_requests_and_no_kernels() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    let before = mirror.manifest();
    fs::write(mirror.layout.manifest(), "{").unwrap();
    origin.take_log();
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!(mirror.manifest().kernels.len(), before.kernels.len());
    let fetched = origin.take_log().into_iter().filter(|asked| {
        asked.method == "GET" && asked.path.starts_with("/kernel/zero") && asked.status == 200
    });
    assert_eq!(fetched.count(), 0);
    assert!(mirror.sync().nothing_to_do);
}

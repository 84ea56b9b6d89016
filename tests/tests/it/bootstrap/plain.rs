//! Upstreams that behave.

use std::os::unix::fs::MetadataExt;

use bcm_bootstrap_sync::report::SyncOutcome;
use bcm_tests::bootstrap::{Bootstrap, content};

use super::{Mirror, everything, now};

#[test]
fn a_mirror_has_the_same_bytes_times_and_links_and_a_second_sync_asks_almost_nothing() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!((report.counts.new, report.moved.len()), (4, 4));
    for (name, kernel) in origin.kernels() {
        if name == "zero-os-ancient.efi" {
            assert_eq!(mirror.kernel(&name), None);
            continue;
        }
        assert_eq!(mirror.kernel(&name).unwrap(), kernel.bytes, "{name}");
        let path = mirror.layout.kernels().join(&name);
        assert_eq!(std::fs::metadata(path).unwrap().mtime(), kernel.time);
    }
    assert_eq!(mirror.link("prod").unwrap(), "../zero-os-production-2.efi");
    assert_eq!(mirror.link("qa").unwrap(), "../zero-os-production-1.efi");
    mirror.assert_tidy();
    origin.take_log();
    let report = mirror.sync();
    assert!(report.nothing_to_do, "{report:?}");
    let log = origin.take_log();
    assert_eq!(log.len(), 5, "{log:?}");
    assert!(log[1..].iter().all(|asked| asked.status == 304), "{log:?}");
}

#[test]
fn a_page_will_do_where_there_is_no_json() {
    let origin = Bootstrap::small(now());
    origin.without_json();
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!(mirror.names().len(), 4);
    assert!(mirror.sync().nothing_to_do);
}

#[test]
fn a_link_with_its_targets_entity_tag_is_not_fetched() {
    let origin = Bootstrap::small(now());
    origin.tags_of_content();
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    let bytes: usize = origin
        .kernels()
        .iter()
        .filter(|(name, _)| *name != "zero-os-ancient.efi")
        .map(|(_, kernel)| kernel.bytes.len())
        .sum();
    assert_eq!(report.counts.bytes, bytes as u64);
    assert_eq!(mirror.link("dev").unwrap(), "../zero-os-development-4.efi");
    origin.take_log();
    assert!(mirror.sync().nothing_to_do);
    assert_eq!(origin.take_log().len(), 5);
}

#[test]
fn what_a_run_mode_links_to_is_never_too_old() {
    let origin = Bootstrap::small(now());
    origin.link("qa", "zero-os-ancient.efi");
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!(mirror.link("qa").unwrap(), "../zero-os-ancient.efi");
    assert!(mirror.kernel("zero-os-ancient.efi").is_some());
    let report = mirror.sync();
    assert!(report.nothing_to_do && report.awaiting_deletion.is_empty());
}

#[test]
fn what_only_a_run_mode_links_to_is_kept_under_a_name_of_our_own() {
    let origin = Bootstrap::small(now());
    origin.publish("secret.efi", now() - 5, content("secret", 70_000));
    origin.hide("secret.efi");
    origin.link("dev", "secret.efi");
    let mirror = Mirror::of(&[&origin]);
    assert_eq!(mirror.sync().outcome, SyncOutcome::Complete);
    let link = mirror.link("dev").unwrap();
    assert!(link.starts_with("../runmode-dev-"), "{link}");
    assert_eq!(
        mirror.kernel(&link[3..]).unwrap(),
        content("secret", 70_000)
    );
    assert!(mirror.sync().nothing_to_do);
    // Once it is listed, its name is known.
    origin.publish("named.efi", now() - 5, content("secret", 70_000));
    let report = mirror.sync();
    assert_eq!(report.counts.new, 1);
    assert_eq!(mirror.link("dev").unwrap(), "../named.efi");
    assert_eq!(report.awaiting_deletion[0].as_str(), &link[3..]);
}

#[test]
fn the_next_upstream_is_asked_when_one_fails() {
    let (bad, good) = (Bootstrap::new(), Bootstrap::small(now()));
    bad.say_index(Some("<html>log in</html>"));
    let mirror = Mirror::of(&[&bad, &good]);
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!(report.upstream, good.url());
    assert_eq!(report.warnings.len(), 1);
    // A kernel that the first has lost comes from the second.
    let (first, second) = (Bootstrap::small(now()), Bootstrap::small(now()));
    first.fail(
        "/kernel/zero-os-testing-3.efi",
        bcm_tests::bootstrap::Fault::Status(404),
        1,
    );
    let mut mirror = Mirror::of(&[&first, &second]);
    mirror.config.policy = everything();
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    let manifest = mirror.manifest();
    let name = "zero-os-testing-3.efi".parse().unwrap();
    assert_eq!(manifest.kernels[&name].source, second.url());
    assert_eq!(mirror.names().len(), 5);
}

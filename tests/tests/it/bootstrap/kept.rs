//! What is here and must not be lost: by upstream's mistakes, or by a damaged note of our own.

use std::fs;
use std::time::Duration;

use bcm_bootstrap_sync::kernel::KernelName;
use bcm_bootstrap_sync::link::{LinkError, Turn, link};
use bcm_bootstrap_sync::report::SyncOutcome;
use bcm_bootstrap_sync::run_mode::RunMode;
use bcm_bootstrap_sync::verify::verify;
use bcm_tests::bootstrap::{Bootstrap, Fault, content};

use super::{Mirror, now};

const PINNED: &str = "zero-os-development-4.efi";

fn prod() -> RunMode {
    RunMode::new("prod").unwrap()
}

fn pin(mirror: &Mirror) {
    let name = KernelName::new(PINNED).unwrap();
    link(&mirror.layout, &prod(), &Turn::Pin(name), false).unwrap();
}

#[test]
fn a_pin_keeps_the_content_and_not_only_the_name() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    pin(&mirror);
    let before = mirror.kernel(PINNED);
    origin.publish(PINNED, now() - 5, content("another", 5000));
    for _ in 0..2 {
        let report = mirror.sync();
        assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
        let told = report.warnings.iter().any(|text| text.contains(PINNED));
        assert!(told, "{report:?}");
        assert_eq!(mirror.kernel(PINNED), before);
        assert_eq!(mirror.link("prod").unwrap(), format!("../{PINNED}"));
    }
    assert!(verify(&mirror.layout, false).unwrap().is_clean());
}

#[test]
fn a_pinned_run_mode_without_its_kernel_is_no_success() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    pin(&mirror);
    origin.link("dev", "zero-os-production-1.efi");
    origin.remove(PINNED);
    fs::remove_file(mirror.layout.kernels().join(PINNED)).unwrap();
    for _ in 0..2 {
        let report = mirror.sync();
        assert_eq!(report.outcome, SyncOutcome::Partial, "{report:?}");
        let refused = &report.refused[0];
        assert_eq!(refused.subject, "net/prod.efi", "{report:?}");
        assert!(refused.reason.contains("--follow"), "{refused:?}");
        let found = verify(&mirror.layout, true).unwrap();
        let about = found.problems.iter().find(|p| p.subject == "net/prod.efi");
        assert!(!about.unwrap().repaired, "{found:?}");
    }
    link(&mirror.layout, &prod(), &Turn::Follow, false).unwrap();
    assert_eq!(mirror.sync().outcome, SyncOutcome::Complete);
}

#[test]
fn a_damaged_manifest_moves_no_run_mode() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    pin(&mirror);
    fs::write(mirror.layout.manifest(), "{\"x").unwrap();
    // Neither of these may write it anew.
    let turned = link(&mirror.layout, &prod(), &Turn::Follow, false).unwrap_err();
    assert!(matches!(turned, LinkError::Damaged { .. }), "{turned}");
    assert!(!verify(&mirror.layout, true).unwrap().is_clean());
    assert_eq!(fs::read(mirror.layout.manifest()).unwrap(), b"{\"x");
    let report = mirror.sync();
    assert_eq!(mirror.link("prod").unwrap(), format!("../{PINNED}"));
    let told = report.warnings.iter().any(|text| text.contains("--follow"));
    assert!(told && report.moved.is_empty(), "{report:?}");
    assert_eq!(report.counts.new, 0, "{report:?}");
    assert!(verify(&mirror.layout, false).unwrap().is_clean());
    link(&mirror.layout, &prod(), &Turn::Follow, false).unwrap();
    assert_ne!(mirror.link("prod").unwrap(), format!("../{PINNED}"));
}

#[test]
fn what_is_listed_in_a_form_of_no_use_is_not_gone() {
    let origin = Bootstrap::small(now());
    let mut mirror = Mirror::of(&[&origin]);
    mirror.config.delete_after = Some(Duration::ZERO);
    mirror.config.max_delete = 1.0;
    mirror.sync();
    let before = mirror.names();
    let list: Vec<String> = before
        .iter()
        .map(|name| format!(r#"{{"name": "{name}", "timestamp": "soon"}}"#))
        .collect();
    origin.say_index(Some(&format!("[{}]", list.join(","))));
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Partial, "{report:?}");
    assert_eq!(
        (report.deleted, mirror.names()),
        (Vec::new(), before.clone())
    );
    // The same where a page lists no times, and the question for one fails.
    origin.without_json();
    origin.fail(&format!("/kernel/{}", before[0]), Fault::Status(500), 1);
    let report = mirror.sync();
    assert_eq!(report.refused_total, 1, "{report:?}");
    assert_eq!(mirror.names(), before);
}

#[test]
fn a_name_that_is_too_long_is_refused_alone() {
    let origin = Bootstrap::small(now());
    let long = format!("{}.efi", "a".repeat(251));
    origin.publish(&long, now(), content("long", 5000));
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    assert_eq!(
        (report.outcome, report.refused_total),
        (SyncOutcome::Partial, 1)
    );
    assert!(report.refused[0].reason.contains("200 bytes"), "{report:?}");
    assert!(mirror.link("prod").is_some());
    mirror.assert_tidy();
}

#[test]
fn a_message_is_no_kernel_whatever_it_is_called() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    let before = mirror.link("prod");
    let page = Fault::Body("text/plain", "<h1>Bad gateway</h1>".to_owned());
    origin.link("prod", PINNED);
    origin.fail("/kernel/net/prod.efi", page, 1);
    let report = mirror.sync();
    assert_eq!(report.refused[0].subject, "net/prod.efi", "{report:?}");
    assert_eq!(mirror.link("prod"), before);
    assert_eq!(mirror.sync().outcome, SyncOutcome::Complete);
    assert_eq!(mirror.link("prod").unwrap(), format!("../{PINNED}"));
}

//! Upstreams that do not behave.

use bcm_bootstrap_sync::report::SyncOutcome;
use bcm_bootstrap_sync::sync::SyncError;
use bcm_tests::bootstrap::{Bootstrap, Fault, content};
use serde_json::json;

use super::{Mirror, now};

const PROD: &str = "zero-os-production-2.efi";
const PATH: &str = "/kernel/zero-os-production-2.efi";

#[test]
fn hostile_names_are_refused_and_the_rest_is_mirrored() {
    let origin = Bootstrap::small(now());
    let long = "a".repeat(300);
    let mut list = vec![json!({"name": PROD, "timestamp": now() - 30 * 86_400})];
    let hostile = [
        "../../outside",
        "/etc/passwd",
        "net",
        "..",
        "",
        "a\u{0}b",
        "a\nb",
        "${net0/mac}",
        &long,
        "net/prod.efi",
    ];
    for name in hostile {
        list.push(json!({"name": name, "timestamp": 1}));
    }
    list.push(list[0].clone());
    list.push(json!({"name": "x.efi", "timestamp": -7}));
    origin.say_index(Some(&json!(list).to_string()));
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Partial);
    assert_eq!(report.refused_total, hostile.len() as u64 + 1, "{report:?}");
    assert!(mirror.kernel(PROD).is_some());
    mirror.assert_tidy();
}

#[test]
fn a_download_that_is_cut_off_goes_on_where_it_was() {
    let origin = Bootstrap::small(now());
    origin.fail(PATH, Fault::Cut(100_000), 1);
    origin.fail(PATH, Fault::Cut(50_000), 1);
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
    assert_eq!(mirror.kernel(PROD).unwrap(), content(PROD, 300_001));
    let from: Vec<_> = origin
        .take_log()
        .into_iter()
        .filter(|asked| asked.path == PATH)
        .map(|asked| (asked.from, asked.status))
        .collect();
    assert_eq!(
        from,
        [(None, 200), (Some(100_000), 206), (Some(150_000), 206)]
    );
}

#[test]
fn the_next_sync_goes_on_with_what_the_last_one_fetched() {
    let origin = Bootstrap::small(now());
    origin.fail(PATH, Fault::Cut(100_000), 1);
    origin.fail(PATH, Fault::Cut(0), 99);
    let mirror = Mirror::of(&[&origin]);
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Partial);
    assert_eq!(report.refused[0].subject, PROD);
    let log = origin.take_log();
    assert!(log.iter().any(|asked| asked.from == Some(100_000)));
    // The link's content names the kernel, so this one came by that way.
    assert!(mirror.link("prod").is_some());
}

#[test]
fn a_file_that_changes_between_two_parts_is_fetched_anew() {
    // An upstream that honours `If-Range`, and one that does not.
    for fault in [None, Some(Fault::PartOfAnything)] {
        let origin = Bootstrap::small(now());
        origin.fail(PATH, Fault::Cut(100_000), 1);
        origin.fail(PATH, Fault::Cut(0), 2);
        let mirror = Mirror::of(&[&origin]);
        assert_eq!(mirror.sync().outcome, SyncOutcome::Partial);
        let changed = content("changed", 300_001);
        let time = now() - 30 * 86_400 + 1;
        origin.publish(PROD, time, changed.clone());
        if let Some(fault) = fault {
            origin.fail(PATH, fault, 1);
        }
        let report = mirror.sync();
        assert_eq!(report.outcome, SyncOutcome::Complete, "{report:?}");
        assert_eq!(mirror.kernel(PROD).unwrap(), changed);
    }
}

#[test]
fn what_is_no_kernel_is_refused() {
    for (fault, word) in [
        (Fault::Body("text/html", "<html>".to_owned()), "text/html"),
        (
            Fault::Body("application/octet-stream", "<!DOCTYPE html>".to_owned()),
            "web page",
        ),
        (
            Fault::Body("application/octet-stream", String::new()),
            "empty",
        ),
        (Fault::NoLength(1000), "how long"),
        (Fault::Length(400_000), "shorter"),
        (Fault::Length(u64::MAX / 2), "larger than"),
        (Fault::Status(500), "500"),
        (Fault::Status(404), "no such file"),
        (Fault::Redirect(PATH.to_owned()), "redirects"),
        (
            Fault::Redirect("http://127.0.0.2/x".to_owned()),
            "another host",
        ),
        (
            Fault::Redirect("file:///etc/passwd".to_owned()),
            "leaves HTTP",
        ),
        (Fault::Silent, "no answer"),
    ] {
        let origin = Bootstrap::small(now());
        let text = format!("{fault:?}");
        let silent = matches!(fault, Fault::Silent);
        origin.fail(PATH, fault, 99);
        let mut mirror = Mirror::of(&[&origin]);
        mirror.config.retry.attempts = 2;
        if silent {
            // What answers has to do so within this time even on a busy machine.
            mirror.config.retry.attempts = 1;
            mirror.config.http.connect = std::time::Duration::from_secs(1);
            mirror.config.http.first_byte = std::time::Duration::from_secs(4);
        }
        let report = mirror.sync();
        assert_eq!(report.outcome, SyncOutcome::Partial, "{text}");
        assert_eq!(report.refused_total, 1, "{text}: {report:?}");
        assert!(
            report.refused[0].reason.contains(word),
            "{text}: {report:?}"
        );
        // The others are there, and the run mode's kernel, by its own path.
        assert_eq!(report.counts.new, 4, "{text}: {report:?}");
        assert!(mirror.link("prod").is_some(), "{text}");
    }
}

#[test]
fn an_index_that_is_none_changes_nothing() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    let before = mirror.manifest();
    for index in ["", "{}", "<html></html>", "[", "null", "\"x\""] {
        origin.say_index(Some(index));
        let error = mirror.try_sync().unwrap_err();
        assert!(matches!(error, SyncError::List(_)), "{index}: {error}");
        assert_eq!(mirror.manifest(), before);
    }
    drop(origin);
    assert!(matches!(mirror.try_sync(), Err(SyncError::List(_))));
}

#[test]
fn a_second_writer_is_told_so() {
    let origin = Bootstrap::small(now());
    let mirror = Mirror::of(&[&origin]);
    mirror.sync();
    let _lock = bcm_core::lock::FolderLock::acquire(&mirror.layout.lock()).unwrap();
    let error = mirror.try_sync().unwrap_err();
    assert!(error.is_busy(), "{error}");
}

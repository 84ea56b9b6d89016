//! A mirror that follows its upstream catches up after whatever happens to it, and says how it is.

use std::time::Duration;

use bcm_tests::bcm;
use bcm_tests::mirror::Mirror;
use bcm_tests::origin::{HttpFault, Origin};

/// As quick as it goes.
const QUICK: &[&str] = &[
    "--follow",
    "--interval",
    "1s",
    "--jitter",
    "0%",
    "--longest-retry",
    "1s",
    "--attempts",
    "1",
];

fn status(mirror: &Mirror) -> serde_json::Value {
    let arguments = ["hub", "status", "--output", "json", "--data"].map(std::ffi::OsString::from);
    bcm::run(arguments.into_iter().chain([mirror.data().into()])).json()
}

/// Puts an flist that was not there, and whose blocks are.
fn publish_upstream(origin: &Origin, name: &str) {
    origin.edit(|users| {
        let repository = users.repository("alice.3bot");
        let content = repository.content("my-app-1.0.flist");
        repository.put_file(name, content, 1_750_000_000);
    });
}

#[test]
fn it_catches_up_after_an_outage_and_ends_cleanly() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let mut running = mirror.start_sync(&origin, QUICK);
    running.wait_for("its first report", |said| {
        said.contains("\"complete\"").then_some(())
    });

    origin.fault("*", HttpFault::Hangup);
    running.wait_for("that it failed twice", |said| {
        said.contains("(2 times in a row)").then_some(())
    });
    let down = status(&mirror);
    assert_eq!(down["health"], "partial", "{down}");
    assert!(down["last_error"].is_string(), "{down}");
    assert!(down["last_error_times"].as_u64() >= Some(2), "{down}");
    assert!(down["follow"]["failures"].as_u64() >= Some(2), "{down}");
    assert!(down["lag"].is_u64(), "{down}");

    publish_upstream(&origin, "new.flist");
    origin.heal();
    running.wait_for("that it is in step again", |said| {
        said.contains("in step again").then_some(())
    });
    assert!(mirror.users().0.contains_key("alice.3bot/new.flist"));

    // Slowed, it goes on; and it is never longer in the way than a sync takes.
    origin.slow(Duration::from_millis(20), Duration::from_millis(5));
    publish_upstream(&origin, "slow.flist");
    let begin = std::time::Instant::now();
    while !mirror.users().0.contains_key("alice.3bot/slow.flist") {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{}",
            running.said()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    running.interrupt().assert_code(0);
    let after = status(&mirror);
    assert_eq!(after["follow"], serde_json::Value::Null, "{after}");
    assert_eq!(after["last_error"], serde_json::Value::Null, "{after}");
    mirror.verify().assert_code(0);
    mirror.assert_nothing_outside();
}

#[test]
fn a_second_follower_is_refused_and_a_killed_one_leaves_nothing_in_the_way() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let mut first = mirror.start_sync(&origin, QUICK);
    first.wait_for("its first report", |said| {
        said.contains("\"complete\"").then_some(())
    });
    let second = mirror.sync(&origin, QUICK).assert_code(1);
    assert!(second.stderr.contains("follow.lock"), "{second}");
    // One sync by hand has its turn between those of the follower.
    let begin = std::time::Instant::now();
    while mirror.sync(&origin, &[]).code() != 0 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "it never had its turn"
        );
    }
    first.kill();
    assert_eq!(status(&mirror)["follow"], serde_json::Value::Null);
    let mut third = mirror.start_sync(&origin, QUICK);
    third.wait_for("its first report", |said| {
        said.contains("\"complete\"").then_some(())
    });
    third.interrupt().assert_code(0);
}

#[test]
fn a_warning_is_not_said_again_at_every_poll() {
    let origin = Origin::recorded();
    origin.fault("/tf-bootable/ubuntu-tiny.flist", HttpFault::status(404));
    let mirror = Mirror::new();
    let mut running = mirror.start_sync(&origin, QUICK);
    // As many as three reports, each with its refused flist.
    running.wait_for("three reports", |said| {
        (said.matches("\"refused_total\": 1").count() >= 3).then_some(())
    });
    let ended = running.interrupt().assert_code(0);
    let warned = ended.stderr.matches("ubuntu-tiny.flist is refused").count();
    assert_eq!(warned, 1, "{ended}");
}

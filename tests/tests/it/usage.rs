//! What a person types wrong, and the first thing that a person types at all.

use bcm_tests::bcm::{self, Running};
use bcm_tests::mirror::Mirror;
use bcm_tests::origin::Origin;

#[test]
fn the_demo_mirrors_and_verifies() {
    let ended = bcm::run(["stack", "start", "--here", "--demo", "--once"]).assert_code(0);
    let said = format!("{}{}", ended.stdout, ended.stderr).to_lowercase();
    for word in ["mirrored", "verified", "http://"] {
        assert!(said.contains(word), "{word}: {ended}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &["--frobnicate"][..],
        &["hub", "sync", "--max-delete", "lots"],
        &["hub", "sync", "--upstream", "ftp://x"],
        &["hub", "frobnicate"],
        &["hub", "serve", "--http", "nowhere"],
    ] {
        let ended = bcm::run(arguments).assert_code(2);
        assert!(
            ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{ended}"
        );
    }
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bcm.toml");
    std::fs::write(&file, "# mine\n[hub]\nupstraem = \"http://x\"\n").expect("write");
    let mut command = bcm::command(["hub", "status", "--config"]);
    command.arg(&file);
    let ended = Running::start(command)
        .finish(std::time::Duration::from_secs(60))
        .assert_code(2);
    for words in ["upstraem", "bcm.toml", "3"] {
        assert!(ended.stderr.contains(words), "{words}: {ended}");
    }
}

#[test]
fn json_is_json() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let synced = mirror.sync(&origin, &[]).assert_code(0);
    assert!(synced.json().is_object());
    let verified = mirror.verify().assert_code(0);
    assert!(verified.json().is_object());
    let mut command = bcm::command(["hub", "status", "--output", "json", "--data"]);
    command.arg(mirror.data());
    let status = Running::start(command).finish(std::time::Duration::from_secs(60));
    assert!(status.assert_code(0).json().is_object());
    for line in synced.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("one JSON event a line");
    }
}

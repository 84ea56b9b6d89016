//! From a mirror to a hub that stands alone, and back.

use std::ops::ControlFlow;
use std::time::Duration;

use bcm_hub_sync::flist::{Flist, Limits};
use bcm_tests::bcm::{self, Running};
use bcm_tests::mirror::Mirror;
use bcm_tests::origin::Origin;
use bcm_tests::wire::{Resp, get, send};

use super::{ask, hub, standalone, text, token, tree, upload};

#[test]
fn a_detached_mirror_is_published_into_and_attached_again() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let early = hub(&mirror, &["detach"]).assert_code(1);
    assert!(early.stderr.contains("bcm hub sync"), "{early}");
    assert!(!mirror.data().exists(), "refusing makes no folder");
    mirror.sync(&origin, &[]).assert_code(0);
    let before = mirror.users();

    hub(&mirror, &["detach", "--dry-run"]).assert_code(0);
    assert_eq!(hub(&mirror, &["status"]).json()["mode"], "mirror");
    let detached = hub(&mirror, &["detach"]).assert_code(0).json();
    assert_eq!(detached["mode"], "detached");
    before.assert_same(&mirror.users(), "detaching changes no name");
    for again in [&[][..], &["--follow"], &["--dry-run"]] {
        let refused = mirror.sync(&origin, again).assert_code(1);
        for word in ["detached", "attach --discard"] {
            assert!(refused.stderr.contains(word), "{again:?}: {refused}");
        }
    }
    let status = hub(&mirror, &["status", "--max-age", "1s"])
        .assert_code(0)
        .json();
    assert_eq!(
        (&status["mode"], &status["health"]),
        (&"detached".into(), &"good".into())
    );
    assert!(status["upstream"].is_null(), "{status}");

    // Published, and read back in every way that there is.
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path(), "hello\n");
    let source = text(folder.path());
    hub(&mirror, &["publish", source, "alice.3bot/own"]).assert_code(0);
    let served = mirror.serve();
    let bytes = get(served.http, "/alice.3bot/own.flist").body;
    let file = folder.path().join("../own-read-back.flist");
    let file = std::path::PathBuf::from(format!("{}-{}", text(&file), std::process::id()));
    std::fs::write(&file, &bytes).expect("a file");
    let listed = bcm::run(["flist", "ls", text(&file)]).assert_code(0);
    for path in ["/etc/motd", "/big", "/link -> etc/motd"] {
        assert!(listed.stdout.contains(path), "{path}: {listed}");
    }
    let mut keys = Vec::new();
    let flist = Flist::open(&file, &Limits::default(), folder.path()).expect("an flist");
    flist
        .for_each_block(&mut |key| {
            keys.push(key.as_bytes().to_vec());
            ControlFlow::Continue(())
        })
        .expect("whole");
    std::fs::remove_file(&file).expect("gone");
    assert!(keys.len() >= 3, "{}", keys.len());
    let mut zdb = Resp::connect(served.zdb);
    for key in &keys {
        assert!(zdb.block(key).is_some(), "a block is not served");
    }
    mirror.verify().assert_code(0);

    // What was upstream's changes, too.
    hub(
        &mirror,
        &["remove", "tf-bootable/ubuntu-tiny", "--dangling"],
    )
    .assert_code(0);
    hub(
        &mirror,
        &["publish", source, "alice.3bot/my-app-1.0", "--replace"],
    )
    .assert_code(0);
    hub(&mirror, &["tag", "tf-zos/tags/mine", "alice.3bot/own"]).assert_code(0);
    hub(&mirror, &["publish", source, "new/one"]).assert_code(0);
    mirror.verify().assert_code(0);
    hub(&mirror, &["gc", "--dry-run"]).assert_code(0);

    let refused = hub(&mirror, &["attach"]).assert_code(1);
    for lost in ["alice.3bot/own.flist", "new/one.flist", "--discard"] {
        assert!(refused.stderr.contains(lost), "{lost}: {refused}");
    }
    let attached = hub(&mirror, &["attach", "--discard"]).assert_code(0).json();
    assert_eq!(attached["discarded"], 5, "{attached}");
    mirror.sync(&origin, &[]).assert_code(0);
    before.assert_same(&mirror.users(), "after attaching and a sync");
    mirror.verify().assert_code(0);
    mirror.assert_nothing_outside();
}

#[test]
fn an_empty_hub_is_made_once_and_served_without_an_upstream() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror
        .sync(&origin, &["--repo", "tf-bootable"])
        .assert_code(0);
    let refused = hub(&mirror, &["standalone"]).assert_code(1);
    assert!(refused.stderr.contains("starts empty"), "{refused}");

    let alone = standalone();
    hub(&alone, &["standalone"]).assert_code(0);
    hub(&alone, &["detach"]).assert_code(1);
    origin.forget_counts();
    let mut command = bcm::command(["stack", "start", "--here", "--http", "127.0.0.1:0"]);
    command.args([
        "--zdb",
        "127.0.0.1:0",
        "--upstream",
        &origin.url(),
        "--data",
    ]);
    let mut running = Running::start({
        command.arg(alone.data());
        command
    });
    running.wait_for("that it does not sync", |said| {
        said.contains("not synced").then_some(())
    });
    let http = running.wait_for("its address", |said| {
        let rest = said.split("http://").nth(1)?;
        rest.split('/').next()?.parse().ok()
    });
    let own = token(&alone, &["alice"]);
    let archive = super::archive("a/file", tar::EntryType::Regular, "", b"content");
    super::granted(&upload(http, &own, "upload", "app.tar.gz", &archive));
    assert_eq!(get(http, "/alice/app.flist").status, 200);
    let home = get(http, "/").text();
    assert!(home.contains("standalone"), "{home}");
    let metrics = get(http, "/metrics").text();
    assert!(
        metrics.contains("bcm_hub_mode{mode=\"standalone\"} 1"),
        "{metrics}"
    );
    running.signal(rustix::process::Signal::INT);
    running.finish(Duration::from_secs(30)).assert_code(0);
    assert!(
        origin.requests().is_empty(),
        "nobody was asked for anything"
    );
    alone.verify().assert_code(0);
}

#[test]
fn a_mirror_has_no_way_to_write_over_the_network() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let made = hub(&mirror, &["token", "create", "--repository", "alice"]).assert_code(1);
    assert!(made.stderr.contains("is a mirror"), "{made}");
    let before = mirror.users();
    let served = mirror.serve();
    let content = super::archive("a", tar::EntryType::Regular, "", b"x");
    for method in ["GET", "POST", "DELETE", "PUT"] {
        for path in ["", "/x", "/upload", "/a/link/b", "/merge/x"] {
            let answer = ask(served.http, "bcm_00000000_00", method, path);
            assert_eq!(answer.status, 400, "{method} {path}");
            assert!(answer.text().contains("readonly mode"), "{}", answer.text());
        }
    }
    let answer = upload(served.http, "x", "upload", "a.tar.gz", &content);
    assert_eq!(answer.status, 400);
    let answer = send(served.http, "POST", "/alice.3bot/x.flist", "", b"x");
    assert_eq!(answer.status, 405);
    before.assert_same(&mirror.users(), "after all of that");
    // A server that was started for a mirror stays one after the mirror is detached.
    hub(&mirror, &["detach"]).assert_code(0);
    let own = token(&mirror, &["alice.3bot"]);
    assert_eq!(ask(served.http, &own, "GET", "").status, 400);
    // And one that was started for a hub takes nothing any more when that is a mirror again.
    let served = mirror.serve();
    assert_eq!(ask(served.http, &own, "GET", "").status, 200);
    hub(&mirror, &["attach", "--discard"]).assert_code(0);
    assert_eq!(ask(served.http, &own, "GET", "").status, 400);
}

#[test]
fn a_mirror_that_is_followed_is_not_detached() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let mut running = mirror.start_sync(&origin, &["--follow"]);
    running.wait_for("that it waits", |said| {
        said.contains("next sync").then_some(())
    });
    let refused = hub(&mirror, &["detach"]).assert_code(1);
    assert!(refused.stderr.contains("follows the upstream"), "{refused}");
    running.interrupt().assert_code(0);
    hub(&mirror, &["detach"]).assert_code(0);
}

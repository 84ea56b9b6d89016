//! Snapshots, the collection of garbage, pins and repairs, end to end.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bcm_tests::bcm::{self, Finished};
use bcm_tests::mirror::Mirror;
use bcm_tests::origin::Origin;

const TINY: &str = "tf-bootable/ubuntu-tiny.flist";

/// Runs `bcm hub …` on the mirror.
fn hub(mirror: &Mirror, arguments: &[&str]) -> Finished {
    let mut all: Vec<OsString> = vec!["hub".into()];
    all.extend(arguments.iter().map(OsString::from));
    all.extend(["--output", "json", "--data"].map(OsString::from));
    all.push(mirror.data().into());
    bcm::run(all)
}

fn snapshots(mirror: &Mirror) -> Vec<String> {
    let listed = hub(mirror, &["snapshot", "list"]).assert_code(0).json();
    let listed = listed["snapshots"].as_array().expect("an array").iter();
    listed
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// Upstream gets another tiny image, and loses a repository's flist.
fn change_upstream(origin: &Origin) {
    origin.edit(|users| {
        let content = users.repository("alice.3bot").content("my-app-1.0.flist");
        let repository = users.repository("tf-bootable");
        repository.put_file("ubuntu-tiny.flist", content, 1_750_000_000);
    });
}

/// The status and body of one download.
fn download(http: SocketAddr, path: &str) -> (String, Vec<u8>) {
    let mut connection = TcpStream::connect(http).expect("a connection");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n");
    let end = end.expect("a head") + 4;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.lines().next().unwrap_or_default().to_owned();
    (status, answer.split_off(end))
}

/// Tells a loop to end when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn restoring_is_seen_whole_by_clients_that_download_in_a_loop() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let before = mirror.users();
    change_upstream(&origin);
    mirror.sync(&origin, &[]).assert_code(0);
    let after = mirror.users();
    let names = snapshots(&mirror);
    assert_eq!(names.len(), 2, "{names:?}");

    let served = mirror.serve();
    let old = std::fs::read(mirror.data().join("hub/users").join(TINY)).expect("the new one");
    let over = AtomicBool::new(false);
    let seen = Mutex::new(Vec::new());
    let see = || seen.lock().expect("no panic");
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let (status, body) = download(served.http, TINY);
                let mut seen = see();
                assert_eq!(status, "HTTP/1.1 200 OK", "after {} others", seen.len());
                if seen.last() != Some(&body) {
                    seen.push(body);
                }
            }
        });
        // Until the client has seen it.
        let until_seen = |wanted: &Vec<u8>| {
            let begin = Instant::now();
            while see().last() != Some(wanted) {
                let late = begin.elapsed() > Duration::from_secs(60);
                assert!(!late && !client.is_finished(), "it was never served");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        // A client in another thread goes on when this one fails.
        let end = End(&over);
        until_seen(&old);
        for name in [&names[0], &names[1], &names[0]] {
            hub(&mirror, &["snapshot", "restore", name]).assert_code(0);
            let wanted = std::fs::read(mirror.data().join("hub/users").join(TINY)).expect("it");
            until_seen(&wanted);
        }
        drop(end);
        client.join().expect("no failed request");
    });
    let seen = seen.into_inner().expect("no panic");
    let (status, metrics) = download(served.http, "metrics");
    let metrics = String::from_utf8(metrics).expect("text");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for line in [
        "bcm_hub_entries{kind=\"flist\"} 4",
        "bcm_hub_last_sync_problems{kind=\"failed\"} 0",
        "bcm_hub_http_requests_total{status=\"5xx\"} 0",
        "bcm_hub_blocks 136",
    ] {
        assert!(metrics.lines().any(|is| is == line), "{line}: {metrics}");
    }
    // New, old, new, old, and nothing that is neither.
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!((&seen[0], &seen[2]), (&old, &old));
    assert_eq!(seen[1], seen[3]);
    before.assert_same(&mirror.users(), "after going back");
    mirror.verify().assert_code(0);

    // A sync would go forward again, so it waits.
    let held = mirror.sync(&origin, &[]).assert_code(1);
    assert!(held.stderr.contains("release"), "{held}");
    before.assert_same(&mirror.users(), "while it is held");
    // What was restored is what there has to be.
    let production = mirror.data().join("hub/users/tf-zos/production");
    std::fs::remove_file(&production).expect("removed");
    let found = mirror.verify().assert_code(4).json();
    let damaged = &found["damaged_names"]["first"][0];
    assert_eq!(damaged["item"], "tf-zos/production");
    hub(&mirror, &["snapshot", "release"]).assert_code(0);
    mirror.sync(&origin, &[]).assert_code(0);
    after.assert_same(&mirror.users(), "after going on");
    mirror.verify().assert_code(0);
    mirror.assert_nothing_outside();
}

#[test]
fn garbage_is_what_no_flist_and_no_snapshot_names() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let first = snapshots(&mirror).remove(0);
    change_upstream(&origin);
    mirror.sync(&origin, &[]).assert_code(0);
    // Blocks of the recording that only an flist of the snapshot needs are spared.
    let now = hub(&mirror, &["gc", "--grace", "0s"]).assert_code(0).json();
    assert_eq!(now["removed"], 0, "{now}");
    hub(&mirror, &["snapshot", "pin", &first]).assert_code(0);
    hub(&mirror, &["snapshot", "drop", &first]).assert_code(1);
    hub(&mirror, &["snapshot", "unpin", &first]).assert_code(0);
    hub(&mirror, &["snapshot", "drop", &first]).assert_code(0);
    // The old version stopped being published just now.
    let spared = hub(&mirror, &["gc"]).assert_code(0).json();
    assert_eq!(spared["removed"], 0, "{spared}");

    let planned = hub(&mirror, &["gc", "--grace", "0s", "--dry-run"]).assert_code(0);
    let planned = planned.json();
    let status = |what: &str| hub(&mirror, &["status"]).json()[what].as_u64();
    let (blocks, room) = (status("blocks"), status("disk_bytes"));
    assert_eq!(planned["removed_flists"], 1, "{planned}");
    let done = hub(&mirror, &["gc", "--grace", "0s"]).assert_code(0).json();
    assert!(done["removed"].as_u64() > Some(0), "{done}");
    assert!(done["freed"].as_u64() > Some(0), "{done}");
    assert_eq!(done["removed_flists"], 1, "{done}");
    assert_eq!(done["removed"], planned["removed"], "{done}");
    let gone = done["removed"].as_u64();
    assert_eq!(
        status("blocks"),
        blocks.zip(gone).map(|(had, gone)| had - gone)
    );
    assert!(status("disk_bytes") < room, "{done}");
    mirror.verify().assert_code(0);
    // The next sync does not take it for a loss, and has nothing to do.
    let sync = mirror.sync(&origin, &[]).assert_code(0);
    assert!(!sync.stderr.contains("fewer"), "{sync}");
    assert_eq!(sync.json()["nothing_to_do"], true, "{sync}");
    // What it names again is fetched again.
    mirror.assert_nothing_outside();
}

#[test]
fn garbage_is_not_collected_without_knowing_what_is_needed() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let path = mirror.data().join("hub/users").join(TINY);
    std::fs::write(&path, "damaged").expect("written");
    let refused = hub(&mirror, &["gc", "--grace", "0s"]).assert_code(1);
    assert!(refused.stderr.contains("ubuntu-tiny"), "{refused}");
    std::fs::remove_file(&path).expect("removed");
    let refused = hub(&mirror, &["gc", "--grace", "0s"]).assert_code(1);
    assert!(refused.stderr.contains("ubuntu-tiny"), "{refused}");
    let users = mirror.data().join("hub/users");
    std::fs::rename(&users, mirror.data().join("hub/lost")).expect("renamed");
    std::fs::remove_file(mirror.data().join("hub/state.json")).expect("removed");
    std::fs::remove_dir_all(mirror.data().join("hub/snapshots")).expect("removed");
    let refused = hub(&mirror, &["gc", "--grace", "0s"]).assert_code(1);
    assert!(refused.stderr.contains("not a single flist"), "{refused}");
}

#[test]
fn a_repair_fetches_what_is_damaged_and_missing() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    mirror.sync(&origin, &[]).assert_code(0);
    let whole = mirror.users();
    let tiny = mirror.data().join("hub/users").join(TINY);
    let time = std::fs::metadata(&tiny)
        .and_then(|m| m.modified())
        .expect("a time");
    // The same size and time: only its bytes tell.
    let mut bytes = std::fs::read(&tiny).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&tiny, bytes).expect("written");
    let file = std::fs::File::options()
        .write(true)
        .open(&tiny)
        .expect("open");
    file.set_modified(time).expect("set");
    std::fs::remove_file(mirror.data().join("hub/users/alice.3bot/my-app-1.0.flist"))
        .expect("removed");
    let segment = mirror.data().join("hub/blocks/blocks-000001.data");
    let mut bytes = std::fs::read(&segment).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xEE);
    std::fs::write(&segment, bytes).expect("written");
    mirror.verify().assert_code(4);

    let mut arguments = mirror.sync_arguments(&origin, &["--repair"]);
    arguments[1] = "verify".into();
    let repaired = bcm::run(arguments).assert_code(0);
    let report = repaired.json();
    assert!(
        report["found"]["damaged_blocks"]["count"].as_u64() > Some(0),
        "{report}"
    );
    assert!(
        report["found"]["damaged_flists"]["count"].as_u64() >= Some(2),
        "{report}"
    );
    assert_eq!(report["clean"], true, "{report}");
    whole.assert_same(&mirror.users(), "after the repair");
    mirror.verify().assert_code(0);
    // All of the tree is gone, and what is in the way of an flist cannot be removed.
    std::fs::remove_dir_all(mirror.data().join("hub/users")).expect("removed");
    mirror.verify().assert_code(4);
    let mut arguments = mirror.sync_arguments(&origin, &["--repair"]);
    arguments[1] = "verify".into();
    bcm::run(arguments.clone()).assert_code(0);
    whole.assert_same(&mirror.users(), "after all of it was gone");
    std::fs::remove_file(&tiny).expect("removed");
    std::fs::create_dir(&tiny).expect("a folder");
    let failed = bcm::run(arguments).assert_code(4).json();
    assert_eq!(failed["clean"], false, "{failed}");
    assert_eq!(failed["sync"]["outcome"], "partial", "{failed}");
    mirror.verify().assert_code(4);
    let left: Vec<_> = std::fs::read_dir(mirror.data().join("hub"))
        .expect("the folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_is_pinned_outlives_upstream() {
    let origin = Origin::recorded();
    let mirror = Mirror::new();
    let pinned = ["--pin", "alice.3bot/my-app-*", "--delete-after", "0s"];
    mirror.sync(&origin, &pinned).assert_code(0);
    origin.edit(|users| {
        let alice = users.repository("alice.3bot");
        alice.nodes.remove("my-app-1.0.flist");
        users
            .repository("tf-bootable")
            .nodes
            .remove("ubuntu-tiny.flist");
    });
    let more = [&pinned[..], &["--max-delete", "100%"]].concat();
    mirror.sync(&origin, &more);
    let users = mirror.users();
    assert!(users.0.contains_key("alice.3bot/my-app-1.0.flist"));
    assert!(!users.0.contains_key(TINY));
    mirror.verify().assert_code(0);
}

//! A tree that changes while it is served.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bcm_core::digest::Md5;

use super::origin::{Served, set_time, unpack_recorded};
use crate::layout::Layout;
use crate::mode::standalone;
use crate::sync::state::State;

/// A server that does not look at the tree by itself any more.
async fn that_does_not_look() -> Served {
    Served::start(unpack_recorded, |options| {
        options.refresh = Duration::from_secs(3600);
    })
    .await
}

#[tokio::test]
async fn every_change_shows() {
    let served = Served::recorded().await;
    let names = || async { served.get("/api/flist/empty.3bot").await.text().to_owned() };
    assert_eq!(names().await, "[]\n");
    fs::write(served.file("empty.3bot/a.flist"), "1").unwrap();
    assert!(names().await.contains("a.flist"));
    symlink("a.flist", served.file("empty.3bot/b.flist")).unwrap();
    assert!(names().await.contains("b.flist"));
    fs::remove_file(served.file("empty.3bot/a.flist")).unwrap();
    let listing = served.get("/api/flist/empty.3bot").await.json();
    assert_eq!(listing.as_array().unwrap().len(), 1);
    assert_eq!(listing[0]["size"], "0.01 KB");
    fs::create_dir(served.file("empty.3bot/.tag-v1")).unwrap();
    assert_eq!(
        served.get("/api/flist/empty.3bot/tags/v1").await.text(),
        "[]\n"
    );
    set_time(&served.file("empty.3bot"), 1_000_000_000);
    let repositories = served.get("/api/repositories").await.json();
    assert_eq!(repositories[1]["updated"], 1_000_000_000);
    fs::write(served.layout.state(), r#"{"official": ["tf-zos"]}"#).unwrap();
    assert_eq!(
        served.get("/api/repositories").await.json()[4]["official"],
        true
    );
}

#[tokio::test]
async fn an_flist_that_was_replaced_is_answered_from_a_new_look() {
    let served = that_does_not_look().await;
    let path = "tf-bootable/ubuntu-tiny.flist";
    let old = served.get(&format!("/{path}.md5")).await;
    let staged = served.file("../new");
    // As large and as old as the one it replaces, which only the inode and the ctime tell.
    fs::write(&staged, vec![7; 3448]).unwrap();
    set_time(&staged, 1_735_689_600);
    fs::rename(&staged, served.file(path)).unwrap();
    let answer = served.get(&format!("/{path}")).await;
    assert_eq!(answer.body, vec![7; 3448]);
    assert_eq!(
        answer.header("etag"),
        format!("\"{}\"", Md5::of(&[7; 3448]))
    );
    let new = served.get(&format!("/{path}.md5")).await;
    assert_ne!(new.body, old.body);
    fs::remove_file(served.file(path)).unwrap();
    assert_eq!(served.get("/alice.3bot/base.flist").await.status, 404);
}

#[tokio::test]
async fn a_publication_is_seen_whole_or_not_at_all() {
    let served = Served::recorded().await;
    let before = served.get("/api/fileslist").await.body;
    fs::write(served.layout.publish_journal(), "{}").unwrap();
    fs::write(served.file("empty.3bot/a.flist"), "1").unwrap();
    assert!(served.get("/api/fileslist").await.body == before);
    fs::write(served.file("empty.3bot/b.flist"), "1").unwrap();
    assert!(served.get("/api/fileslist").await.body == before);
    fs::remove_file(served.layout.publish_journal()).unwrap();
    let after = served.get("/api/fileslist").await;
    assert_eq!(after.json()["empty.3bot"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_flist_replaced_by_a_publication_waits_for_its_end() {
    let served = that_does_not_look().await;
    let path = "tf-bootable/ubuntu-tiny.flist";
    fs::write(served.layout.publish_journal(), "{}").unwrap();
    let staged = served.file("../new");
    fs::write(&staged, "new").unwrap();
    fs::rename(&staged, served.file(path)).unwrap();
    let url = format!("/{path}");
    let asked = served.get(&url);
    let published = async {
        // Nothing but what is asked for makes it look.
        while !served.refresher.is_looking() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        fs::write(served.file("empty.3bot/last.flist"), "1").unwrap();
        fs::remove_file(served.layout.publish_journal()).unwrap();
    };
    let both = async { tokio::join!(asked, published) };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("it looks, and waits for no more than the end");
    assert_eq!(answer.body, b"new");
    // What came last is in what it saw.
    assert!(served.get("/api/flist").await.text().contains("last.flist"));
}

#[tokio::test]
async fn the_first_snapshot_does_not_need_the_journal_to_go() {
    let served = Served::start(
        |layout| {
            unpack_recorded(layout);
            fs::write(layout.publish_journal(), "{}").unwrap();
        },
        |_| {},
    )
    .await;
    assert_eq!(served.get("/api/flist/tf-zos").await.status, 200);
}

#[tokio::test]
async fn a_mirror_whose_first_sync_has_not_ended_says_so_and_fills() {
    let served = Served::start(|_| {}, |_| {}).await;
    for begun in [false, true] {
        if begun {
            // What a sync makes at its beginning.
            fs::create_dir_all(served.layout.users()).unwrap();
        }
        for path in [
            "/healthz",
            "/api/flist",
            "/api/fileslist",
            "/api/repositories",
            "/api/flist/tf-zos",
            "/tf-zos/a.flist",
        ] {
            let answer = served.get(path).await;
            assert_eq!(answer.status, 503, "{path}");
            assert!(
                answer.text().contains("nothing has been mirrored yet"),
                "{path}"
            );
        }
    }
    assert!(
        served
            .get("/")
            .await
            .text()
            .contains("Nothing has been mirrored yet")
    );
    unpack_recorded(&served.layout);
    assert_eq!(served.get("/healthz").await.json()["repositories"], 5);
}

#[tokio::test]
async fn a_tree_that_cannot_be_read_is_unhealthy_until_it_can() {
    let served = Served::start(
        |layout| {
            fs::create_dir_all(layout.hub()).unwrap();
            fs::write(layout.users(), "not a folder").unwrap();
        },
        |_| {},
    )
    .await;
    for path in ["/healthz", "/api/flist", "/", "/a/b.flist"] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(
            !answer
                .text()
                .contains(served.folder.path().to_str().unwrap()),
            "{path}"
        );
    }
    fs::remove_file(served.layout.users()).unwrap();
    unpack_recorded(&served.layout);
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_mirror_is_empty_where_a_sync_ended_so_and_unhealthy_where_its_tree_is_gone() {
    let served = Served::start(
        |layout| {
            fs::create_dir_all(layout.users()).unwrap();
            let mut state = State::new();
            state.last_success = Some(1);
            state.save(&layout.state()).unwrap();
        },
        |_| {},
    )
    .await;
    assert_eq!(served.get("/api/flist").await.text(), "[]\n");
    assert_eq!(served.get("/healthz").await.status, 200);
    fs::remove_dir(served.layout.users()).unwrap();
    assert_eq!(served.get("/api/flist").await.status, 503);
    assert_eq!(served.get("/healthz").await.status, 503);
}

#[tokio::test]
async fn a_hub_that_never_had_an_upstream_is_ready_and_empty() {
    let empty = |layout: &Layout| assert!(standalone(layout, false).unwrap());
    let served = Served::start(empty, |_| {}).await;
    assert_eq!(served.get("/healthz").await.status, 200);
    assert_eq!(served.get("/api/flist").await.text(), "[]\n");
}

/// Two flists that are always published together, by a writer that keeps to the journal: whoever
/// asks sees both of one publication, and bytes that match their checksum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_mixes_two_publications() {
    let served = Served::recorded().await;
    let layout = served.layout.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU64::new(0));
    let (stopped, answered) = (Arc::clone(&stop), Arc::clone(&asked));
    let writer = tokio::task::spawn_blocking(move || {
        let mut round = 1_u64;
        while !stopped.load(Ordering::Relaxed) {
            fs::write(layout.publish_journal(), "{}").unwrap();
            for name in ["a", "b"] {
                let staged = layout.hub().join("staged");
                fs::write(&staged, format!("{round}").repeat(2000)).unwrap();
                set_time(&staged, 1_000_000_000 + i64::try_from(round).unwrap());
                fs::rename(
                    &staged,
                    layout.users().join(format!("empty.3bot/{name}.flist")),
                )
                .unwrap();
            }
            fs::remove_file(layout.publish_journal()).unwrap();
            // A look can only be undisturbed where writers pause, so long as looks take here.
            let before = answered.load(Ordering::Relaxed);
            while answered.load(Ordering::Relaxed) == before && !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(100));
            }
            round += 1;
        }
        round
    });
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 20 {
        asked.fetch_add(1, Ordering::Relaxed);
        let listing = served.get("/api/flist/empty.3bot").await.json();
        let entries = listing.as_array().unwrap();
        if entries.is_empty() {
            continue;
        }
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["updated"], entries[1]["updated"]);
        seen.insert(entries[0]["updated"].as_i64().unwrap());
        let file = served.get("/empty.3bot/a.flist").await;
        if file.status == 200 {
            assert_eq!(file.header("etag"), format!("\"{}\"", Md5::of(&file.body)));
        } else {
            assert_eq!(file.status, 503);
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() >= 20);
}

//! A follower whose upstream goes away, comes back, forgets its cursors, breaks off and slows down;
//! and one that is told of new blocks.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bcm_core::progress::{Level, Progress};
use bcm_hub_sync::store::BlockStore;
use bcm_hub_sync::sync::{
    BlockMode, FollowEvent, FollowOptions, Follower, SyncConfig, SyncOutcome, follow,
};
use bcm_tests::fixtures;
use bcm_tests::origin::{Blocks, Origin};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Mirror, run};

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(180);

/// What a follower told.
#[derive(Debug)]
enum Told {
    Synced(SyncOutcome),
    Failed(u32),
    Note(String),
}

/// A follower on a thread of its own. It ends when it is dropped.
struct Following {
    told: Receiver<Told>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

struct Notes(std::sync::mpsc::Sender<Told>);

impl Progress for Notes {
    fn note(&self, _: Level, text: &str) {
        let _ = self.0.send(Told::Note(text.to_owned()));
    }
}

impl Following {
    fn start(mirror: &Mirror, options: FollowOptions) -> Self {
        let (tell, told) = channel();
        let cancel = CancellationToken::new();
        let (layout, store) = (mirror.layout.clone(), mirror.store.clone());
        let (config, stop): (SyncConfig, _) = (mirror.config.clone(), cancel.clone());
        let thread = std::thread::spawn(move || {
            let progress = Arc::new(Notes(tell.clone()));
            let tell = std::sync::Mutex::new(tell);
            let watch = |event: FollowEvent<'_>| {
                let told = match event {
                    FollowEvent::Synced { report, .. } => Told::Synced(report.outcome),
                    FollowEvent::Failed { failures, .. } => Told::Failed(failures),
                    _ => return,
                };
                let _ = tell.lock().expect("no panic").send(told);
            };
            let store: Arc<dyn BlockStore> = store;
            let follower = Follower {
                layout: &layout,
                config: &config,
                options: &options,
                open_store: &|| Ok(Arc::clone(&store)),
                watch: &watch,
                wake: &Notify::new(),
            };
            run(follow(follower, progress, stop)).expect("the only follower");
        });
        Self {
            told,
            cancel,
            thread: Some(thread),
        }
    }

    /// Waits until it tells something for which `wanted`.
    #[track_caller]
    fn until(&self, what: &str, mut wanted: impl FnMut(&Told) -> bool) {
        let begin = Instant::now();
        while let Ok(told) = self.told.recv_timeout(DEADLINE) {
            if wanted(&told) {
                return;
            }
            assert!(begin.elapsed() < DEADLINE, "never: {what}; last {told:?}");
        }
        panic!("nothing was told for {DEADLINE:?}, and never: {what}");
    }

    /// Waits for a sync that is complete, after which the mirror has all that upstream has.
    #[track_caller]
    fn catches_up(&self, mirror: &Mirror, what: &str) {
        let expected = mirror.origin.edit_blocks(|blocks| blocks.len()) as u64;
        self.until(what, |told| {
            matches!(told, Told::Synced(SyncOutcome::Complete))
                && mirror.store.stats().expect("the store").blocks == expected
                && mirror.upstream() == mirror.tree()
        });
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().expect("no panic");
        }
    }
}

fn mirror() -> Mirror {
    let mut mirror = Mirror::new();
    mirror.config.blocks = BlockMode::All;
    mirror.origin.scan_page(50);
    mirror.origin.edit(|_| ());
    mirror
}

/// Puts `count` blocks that no flist names, and an flist, where `number` says which.
fn upload(origin: &Origin, number: u32, count: u32) {
    origin.edit_blocks(|blocks| {
        for own in 0..count {
            let payload = (number * 100_000 + own).to_le_bytes().repeat(40);
            let key = bcm_hub_sync::block::BlockKey::of(&payload);
            blocks.put(key.as_bytes().to_vec(), payload, 1_700_000_000);
        }
    });
    origin.edit(|users| {
        let repository = users.repository("alice.3bot");
        let content = repository.content("my-app-1.0.flist");
        repository.put_file(&format!("new-{number}.flist"), content, 1_750_000_000);
    });
}

#[test]
fn it_catches_up_whatever_happens_to_its_upstream() {
    let mirror = mirror();
    let origin = &mirror.origin;
    let polling = FollowOptions {
        interval: Duration::from_millis(20),
        first_retry: Duration::from_millis(5),
        longest_retry: Duration::from_millis(20),
        least_pause: Duration::ZERO,
        ..FollowOptions::default()
    };
    let following = Following::start(&mirror, polling);
    following.catches_up(&mirror, "the first sync");

    // Restarted, with something new.
    origin.stop();
    following.until("two failures in a row", |told| {
        matches!(told, Told::Failed(2..))
    });
    upload(origin, 1, 120);
    origin.start_again();
    following.catches_up(&mirror, "after a restart");

    // Cut off in the middle of things, again and again: every sync gets a little further.
    origin.hang_up_after(Some(4));
    upload(origin, 2, 400);
    following.until("a sync that was cut off", |told| {
        matches!(told, Told::Synced(SyncOutcome::Partial))
    });
    following.catches_up(&mirror, "while it is cut off");
    origin.hang_up_after(None);

    // Compacted: it knows no cursor any more.
    origin.edit_blocks(|blocks| {
        // Something has to be gone for a file to change.
        let first = fixtures::blocks()[0].clone();
        let (key, payload) = (first.key_bytes(), first.payload());
        blocks.delete(&key);
        blocks.put(key, payload, first.timestamp);
        Blocks::compact(blocks);
    });
    upload(origin, 3, 50);
    following.until(
        "a scan from the beginning",
        |told| matches!(told, Told::Note(text) if text.contains("compacted")),
    );
    following.catches_up(&mirror, "after it was compacted");

    // Slow, but alive.
    origin.slow(Duration::from_millis(20), Duration::from_millis(2));
    upload(origin, 4, 100);
    following.catches_up(&mirror, "while it is slow");
    drop(following);
    mirror.assert_equal();
}

/// A pause that nothing in a test waits for.
fn patient() -> FollowOptions {
    FollowOptions {
        interval: Duration::from_secs(1_000_000),
        first_retry: Duration::from_millis(5),
        longest_retry: Duration::from_millis(20),
        least_pause: Duration::ZERO,
        ..FollowOptions::default()
    }
}

#[track_caller]
fn until(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < DEADLINE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn new_blocks_end_a_pause_and_so_does_an_upstream_that_is_back() {
    let mirror = mirror();
    let following = Following::start(&mirror, patient());
    following.catches_up(&mirror, "the first sync");
    until("it listens", || mirror.origin.waiting() > 0);
    upload(&mirror.origin, 1, 10);
    following.catches_up(&mirror, "after it was told of blocks");

    until("it listens again", || mirror.origin.waiting() > 0);
    mirror.origin.stop();
    upload(&mirror.origin, 2, 10);
    mirror.origin.start_again();
    following.catches_up(&mirror, "after the connection was back");
}

#[test]
fn an_upstream_that_does_not_know_wait_is_left_alone_with_it() {
    let mirror = mirror();
    mirror.origin.refuse_wait(true);
    let options = FollowOptions {
        interval: Duration::from_millis(20),
        ..patient()
    };
    let following = Following::start(&mirror, options);
    following.until("that it is only polled", |told| {
        matches!(told, Told::Note(text) if text.contains("does not say when it gets blocks"))
    });
    following.catches_up(&mirror, "the first sync");
    upload(&mirror.origin, 1, 10);
    following.catches_up(&mirror, "by polling");
    assert_eq!(mirror.origin.commands()["WAIT"], 1);
}

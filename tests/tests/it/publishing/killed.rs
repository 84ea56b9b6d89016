//! `kill -9` while something is published shows nothing half, and loses nothing.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bcm_hub_sync::flist::{Flist, Limits};
use bcm_tests::bcm::{self, Running};
use bcm_tests::chance::Chance;

use super::{hub, standalone, text};

const KILLS: u32 = 12;

/// What is killed late may have ended before.
const TRIES: u32 = 5 * KILLS;

/// How many bytes all files below `folder` have.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_each = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes(&entry.path()),
        Ok(about) => about.len(),
        // It is gone since.
        Err(_) => 0,
    });
    of_each.sum()
}

#[test]
fn publishing_can_be_killed_at_any_moment() {
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    let seed = u64::from(clock.subsec_nanos());
    println!("seed {seed}");
    let mut chance = Chance::new(seed);
    let mirror = standalone();
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("tree");
    std::fs::create_dir(&source).expect("a folder");
    let content = |round: u32| {
        for number in 0..60 {
            let text = format!("{round} {number} ").repeat(30_000);
            std::fs::write(source.join(format!("{number:03}")), text).expect("a file");
        }
    };
    let start = || {
        let mut command = bcm::command(["hub", "publish", text(&source), "alice/app", "--replace"]);
        command.arg("--data").arg(mirror.data());
        Running::start(command)
    };
    content(0);
    let before = bytes(&mirror.data());
    start().finish(Duration::from_secs(60)).assert_code(0);
    let whole = bytes(&mirror.data()) - before;
    let published = mirror.data().join("hub/users/alice/app.flist");
    let mut killed = 0;
    for round in 1..=TRIES {
        if killed == KILLS {
            break;
        }
        content(round);
        let before = std::fs::read(&published).expect("it stays");
        let enough = bytes(&mirror.data()) + chance.below(whole + 1);
        let mut running = start();
        while running.is_running() && bytes(&mirror.data()) < enough {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(chance.below(10_000)));
        let ended = running.kill();
        killed += u32::from(ended.status.code().is_none());
        // The one before, or the new one, and each with all of its blocks.
        let after = std::fs::read(&published).expect("it stays");
        let done = after != before;
        let flist = Flist::open(&published, &Limits::default(), folder.path());
        flist.expect("whole").inspect().expect("whole");
        let verified = mirror.verify();
        assert_eq!(
            verified.code(),
            0,
            "seed {seed}, {round}, done {done}: {ended} {verified}"
        );
    }
    assert_eq!(
        killed, KILLS,
        "seed {seed}: too few were there to be killed"
    );
    // The next writer clears up what they left.
    hub(&mirror, &["link", "alice/latest", "alice/app"]).assert_code(0);
    let staging = std::fs::read_dir(mirror.data().join("hub/staging")).expect("a folder");
    assert_eq!(staging.count(), 0);
    start().finish(Duration::from_secs(60)).assert_code(0);
    mirror.verify().assert_code(0);
    hub(&mirror, &["gc", "--grace", "0s"]).assert_code(0);
    mirror.verify().assert_code(0);
    mirror.assert_nothing_outside();
}

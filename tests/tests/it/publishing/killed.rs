//! `kill -9` while something is published shows nothing half, and loses nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bcm_hub_sync::flist::{Flist, Limits};
use bcm_tests::bcm::{self, Running};
use bcm_tests::chance::Chance;

use super::{hub, standalone, text};

const KILLS: u32 = 12;

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
    let begin = Instant::now();
    start().finish(Duration::from_secs(60)).assert_code(0);
    let whole = begin.elapsed();
    let published = mirror.data().join("hub/users/alice/app.flist");
    for round in 1..=KILLS {
        content(round);
        let before = std::fs::read(&published).expect("it stays");
        let running = start();
        std::thread::sleep(Duration::from_micros(
            chance.below(whole.as_micros() as u64),
        ));
        let ended = running.kill();
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

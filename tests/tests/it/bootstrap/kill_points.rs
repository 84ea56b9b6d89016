//! A sync that is killed goes on where it was: at any point, and at one point after the other.
//!
//! A point is a number of bytes that upstream has sent; then it stands still, so that the sync cannot
//! end before it is killed. `BCM_KILL_POINTS=50 cargo test -p bcm-tests --test it bootstrap::kill_points --
//! --nocapture` tries fifty of each and prints what came of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bcm_bootstrap_sync::report::{SyncOutcome, SyncReport};
use bcm_bootstrap_sync::verify::verify;
use bcm_tests::bcm::{self, Running};
use bcm_tests::bootstrap::{Bootstrap, FakeKernel, content};
use bcm_tests::kill_points::{points, spread};
use bytes::Bytes;

use super::{Mirror, now};

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

const MODES: [&str; 4] = ["prod", "test", "dev", "qa"];

type Kernels = BTreeMap<String, FakeKernel>;

/// The program at work on a mirror.
fn start(origin: &Bootstrap, mirror: &Mirror) -> Running {
    let mut command = bcm::command(["bootstrap", "sync", "--delete-after", "0s"]);
    command.args(["--max-delete", "100%", "--timeout", "2m"]);
    command.args(["--upstream", &origin.url(), "--data"]);
    command.arg(mirror.layout.root());
    Running::start(command)
}

/// Kills a sync when upstream has sent `bytes` bytes more. Whether it was still there then.
fn killed_after(bytes: u64, origin: &Bootstrap, mirror: &Mirror) -> bool {
    origin.stand_still_after(Some(bytes));
    let running = start(origin, mirror);
    assert!(origin.wait_until_still(DEADLINE), "{}", running.said());
    let ended = running.kill();
    origin.stand_still_after(None);
    ended.status.code().is_none()
}

/// An upstream, and a mirror of it that is to be brought up to date: from nothing, or from what
/// upstream had before. And what upstream had before.
fn begin(fresh: bool) -> (Bootstrap, Mirror, Kernels) {
    let time = now() - 1000;
    let origin = Bootstrap::small(time);
    let mut mirror = Mirror::of(&[&origin]);
    mirror.config.delete_after = Some(Duration::ZERO);
    mirror.config.max_delete = 1.0;
    if fresh {
        return (origin, mirror, Kernels::new());
    }
    mirror.sync();
    let before = origin.kernels();
    // One again under its name, a new one that a run mode moves to, and one that is gone.
    let again = "zero-os-testing-3.efi";
    origin.publish(again, time - 5, content("again", 270_000));
    origin.publish("zero-os-production-9.efi", time - 9, content("9", 310_000));
    origin.link("prod", "zero-os-production-9.efi");
    origin.remove("zero-os-production-2.efi");
    (origin, mirror, before)
}

/// Whatever is here under its name is whole: of one version or of the other. What a run mode led to
/// before is there.
#[track_caller]
fn assert_whole(mirror: &Mirror, before: &Kernels, origin: &Bootstrap, point: &str) {
    let after = origin.kernels();
    if mirror.layout.kernels().exists() {
        for name in mirror.names() {
            let here = Bytes::from(mirror.kernel(&name).unwrap());
            let versions = [before.get(&name), after.get(&name)];
            let whole = versions.into_iter().flatten().any(|k| k.bytes == here);
            assert!(whole, "{point}: {name} is neither version");
        }
    }
    for mode in MODES {
        let link = mirror.link(mode);
        let there = link.as_ref().and_then(|link| mirror.kernel(&link[3..]));
        let led_nowhere = before.is_empty() && link.is_none();
        assert!(led_nowhere || there.is_some(), "{point}: {mode} {link:?}");
    }
}

/// The next sync brings everything up to date.
#[track_caller]
fn settle(mirror: &Mirror, origin: &Bootstrap, point: &str) -> SyncReport {
    let report = mirror.sync();
    assert_eq!(report.outcome, SyncOutcome::Complete, "{point}: {report:?}");
    assert_up_to_date(mirror, origin, point);
    report
}

#[track_caller]
fn assert_up_to_date(mirror: &Mirror, origin: &Bootstrap, point: &str) {
    let mut wanted = origin.kernels();
    wanted.remove("zero-os-ancient.efi");
    let names: Vec<&String> = wanted.keys().collect();
    assert_eq!(mirror.names().iter().collect::<Vec<_>>(), names, "{point}");
    for (name, kernel) in &wanted {
        assert!(mirror.kernel(name).unwrap() == kernel.bytes, "{point}");
    }
    let verified = verify(&mirror.layout, false).unwrap();
    assert!(verified.is_clean(), "{point}: {verified:?}");
    assert!(verified.odd.is_empty(), "{point}: {verified:?}");
    assert_eq!(verified.links, 4, "{point}");
    mirror.assert_tidy();
    assert!(mirror.sync().nothing_to_do, "{point}");
}

/// How many bytes upstream sends in a whole sync.
fn bytes(fresh: bool) -> u64 {
    let (origin, mirror, _) = begin(fresh);
    let before = origin.sent();
    start(&origin, &mirror).finish(DEADLINE).assert_code(0);
    origin.sent() - before
}

#[test]
fn killed_at_any_point() {
    for fresh in [true, false] {
        let from = if fresh { "from nothing" } else { "of changes" };
        let all = bytes(fresh);
        let chosen = spread(points().div_ceil(2), all - 1);
        let (mut ended, mut resumed) = (0, 0);
        for point in &chosen {
            let (origin, mirror, before) = begin(fresh);
            let text = format!("killed after {point} of {all} bytes {from}");
            ended += u64::from(killed_after(*point, &origin, &mirror));
            assert_whole(&mirror, &before, &origin, &text);
            resumed += settle(&mirror, &origin, &text).counts.resumed_bytes;
        }
        assert_eq!(ended, chosen.len() as u64, "upstream stood still");
        println!(
            "kill -9, a sync {from}: {ended} points over {all} bytes, {resumed} bytes not fetched again, \
             0 losses"
        );
    }
}

/// How many bytes of kernels are here, whole ones and parts.
fn on_disk(mirror: &Mirror) -> u64 {
    let folders = [mirror.layout.kernels(), mirror.layout.staging()];
    let files = folders.iter().filter_map(|folder| folder.read_dir().ok());
    let sizes = files.flatten().flatten().filter_map(|entry| {
        let note = entry.path().extension().is_some_and(|end| end == "json");
        // What is gone since the folder was read was renamed, and is counted next time.
        let size = entry.metadata().ok().filter(|about| about.is_file())?.len();
        (!note).then_some(size)
    });
    sizes.sum()
}

#[test]
fn killed_again_and_again() {
    let (origin, mirror, _) = begin(true);
    // All that is sent are kernels, until they are all here.
    MODES.iter().for_each(|mode| origin.unlink(mode));
    let kernels = origin.kernels();
    let sizes = kernels.values().map(|kernel| kernel.bytes.len() as u64);
    let all: u64 = sizes.sum::<u64>() - 100_000;
    // So much more than what else is sent that each sync gets on by half of it.
    let kills = points().min(all / 20_000);
    let step = all / kills;
    let mut killed = 0;
    let finished = loop {
        let before = on_disk(&mirror);
        origin.stand_still_after(Some(step));
        let mut running = start(&origin, &mirror);
        let begun = Instant::now();
        while running.is_running() && on_disk(&mirror) < before + step / 2 {
            assert!(begun.elapsed() < DEADLINE, "{}", running.said());
            std::thread::sleep(Duration::from_millis(2));
        }
        if !running.is_running() {
            break running.finish(DEADLINE);
        }
        // It may have come to its end since.
        if running.kill().status.code().is_some() {
            continue;
        }
        killed += 1;
        let text = format!("killed {killed} times");
        assert_whole(&mirror, &Kernels::new(), &origin, &text);
        assert!(killed <= 2 * kills, "{text}: it does not get on");
    };
    finished.assert_code(0);
    origin.stand_still_after(None);
    let sent = origin.sent();
    println!("killed {killed} times in one sync of {all} bytes: {sent} bytes sent in all");
    assert!(killed >= kills / 2, "{killed}");
    for mode in MODES {
        origin.link(mode, "zero-os-production-1.efi");
    }
    assert_eq!(mirror.sync().moved.len(), 4);
    assert_up_to_date(&mirror, &origin, "at the end");
}

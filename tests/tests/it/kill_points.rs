//! Every step of a sync is a point at which it may end: killed, or with the upstream gone. What was
//! published before is whole, and the next sync goes on from there. The same holds for restoring a
//! snapshot and for a collection of garbage.
//!
//! `BCM_KILL_POINTS=100 cargo test -p bcm-tests --test it kill_points -- --nocapture` tries a
//! hundred of each, and prints what came of them; the disk that is full there is among the tests in
//! `tests/needs`.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use bcm_tests::kill_points::{
    LOOSE, add_loose_blocks, change, finish, named_blocks, origin, points, spread, steps, until,
};
use bcm_tests::mirror::{Mirror, blocks_of};
use bcm_tests::origin::{HttpFault, Origin};
use bcm_tests::tree::Tree;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sync_until");

const DO_ALL: [&str; 2] = ["nothing", "sync"];
const KILL: [&str; 2] = ["kill", "sync"];

/// The upstream's tree as it is now.
fn upstream(origin: &Origin) -> Tree {
    let folder = tempfile::tempdir().expect("a folder");
    origin.edit(|users| users.write_to(folder.path()));
    Tree::of_folder(folder.path())
}

/// A mirror that is to be brought up to date, from nothing or from an earlier state.
fn begin(fresh: bool) -> (Origin, Mirror, Option<Tree>) {
    let origin = origin();
    let mirror = Mirror::new();
    if fresh {
        return (origin, mirror, None);
    }
    finish(until(PROGRAM, 0, DO_ALL, &mirror.data(), &origin)).assert_code(0);
    let before = mirror.users();
    origin.edit(change);
    add_loose_blocks(&origin, LOOSE..LOOSE + 60);
    (origin, mirror, Some(before))
}

/// Checks that nothing is lost, mends, and checks that all is there.
fn settle(origin: &Origin, mirror: &Mirror, before: Option<&Tree>, point: &str) {
    if mirror.data().join("hub/users").exists() {
        let verified = mirror.verify();
        assert_eq!(verified.code(), 0, "{point}: damage: {verified}");
        if let Some(before) = before {
            let now = mirror.users();
            let lost = before.0.keys().find(|path| !now.0.contains_key(*path));
            assert_eq!(lost, None, "{point}: it was published before");
        }
    }
    let mended = finish(until(PROGRAM, 0, DO_ALL, &mirror.data(), origin));
    assert!(mended.stdout.contains("Complete"), "{point}: {mended}");
    upstream(origin).assert_same(&mirror.users(), point);
    let verified = mirror.verify();
    assert_eq!(verified.code(), 0, "{point}: {verified}");
    let blocks = origin.edit_blocks(|blocks| blocks.len());
    assert_eq!(blocks_of(mirror.serve().zdb).len(), blocks, "{point}");
    mirror.assert_nothing_outside();
}

fn all_points(what: &str, end: impl Fn(u64, &Origin, &Mirror) -> bool) {
    let mut table = Vec::new();
    for fresh in [true, false] {
        let from = if fresh { "from nothing" } else { "of changes" };
        let (first_origin, counted, _) = begin(fresh);
        // The number varies a little: what comes at the same time is counted in any portions.
        let last = steps(PROGRAM, "sync", &counted.data(), &first_origin) * 9 / 10;
        let chosen = spread(points() / 2, last);
        let mut ended = 0;
        for step in &chosen {
            let (origin, mirror, before) = begin(fresh);
            ended += u64::from(end(*step, &origin, &mirror));
            let point = format!("{what} at step {step} of about {last} {from}");
            settle(&origin, &mirror, before.as_ref(), &point);
        }
        table.push(format!(
            "{what}, a sync {from}: {} points of about {last} steps, {ended} ended there, 0 losses",
            chosen.len()
        ));
        assert!(ended * 4 >= chosen.len() as u64 * 3, "{table:?}");
    }
    println!("{}", table.join("\n"));
}

#[test]
fn killed_at_any_step() {
    all_points("kill -9", |step, origin, mirror| {
        let ended = finish(until(PROGRAM, step, KILL, &mirror.data(), origin));
        ended.status.code().is_none()
    });
}

#[test]
fn the_upstream_is_gone_at_any_step() {
    all_points("upstream gone", |step, origin, mirror| {
        let mut child = until(PROGRAM, step, ["gone", "sync"], &mirror.data(), origin)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
        std::io::BufRead::read_line(&mut out, &mut said).expect("a line");
        let gone = said == "gone\n";
        if gone {
            origin.fault("*", HttpFault::Hangup);
            origin.hang_up_after(Some(0));
            let mut stdin = child.stdin.take().expect("piped");
            stdin.write_all(b"on\n").expect("it waits");
        }
        drop(child.stdin.take());
        std::io::Read::read_to_string(&mut out, &mut said).expect("text");
        let begin = std::time::Instant::now();
        while child.try_wait().expect("wait").is_none() {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "it hangs: {said}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        origin.heal();
        gone
    });
}

/// Kills `work` on a mirror that has an earlier state as a snapshot, at its steps; `settle` looks
/// at what is left, does it again, and looks once more.
fn killed_during(work: &str, settle: impl Fn(&Mirror, &Origin, [&Tree; 2], &str)) {
    let prepared = || {
        let (origin, mirror, before) = begin(false);
        finish(until(PROGRAM, 0, DO_ALL, &mirror.data(), &origin)).assert_code(0);
        let after = mirror.users();
        (origin, mirror, [before.expect("it was synced"), after])
    };
    let (origin, counted, _) = prepared();
    let last = steps(PROGRAM, work, &counted.data(), &origin);
    let chosen = spread(points() / 2, last);
    let mut killed = 0;
    for step in &chosen {
        let (origin, mirror, [before, after]) = prepared();
        let ended = finish(until(
            PROGRAM,
            *step,
            ["kill", work],
            &mirror.data(),
            &origin,
        ));
        killed += u64::from(ended.status.code().is_none());
        let point = format!("kill -9 at step {step} of {last} of {work}");
        let verified = mirror.verify();
        assert_eq!(verified.code(), 0, "{point}: damage: {verified}");
        settle(&mirror, &origin, [&before, &after], &point);
        let verified = mirror.verify();
        assert_eq!(verified.code(), 0, "{point}: {verified}");
        mirror.assert_nothing_outside();
    }
    println!(
        "kill -9, {work}: {} points of {last} steps, {killed} ended there, 0 losses",
        chosen.len()
    );
    assert_eq!(killed, chosen.len() as u64, "{work}");
}

#[test]
fn killed_at_any_step_of_restoring() {
    killed_during("restore", |mirror, origin, [before, after], point| {
        let again = finish(until(
            PROGRAM,
            0,
            ["nothing", "restore"],
            &mirror.data(),
            origin,
        ));
        assert!(again.stdout.contains("restored"), "{point}: {again}");
        before.assert_same(&mirror.users(), point);
        // And forward again.
        let synced = finish(until(PROGRAM, 0, DO_ALL, &mirror.data(), origin));
        assert!(synced.stdout.contains("Complete"), "{point}: {synced}");
        after.assert_same(&mirror.users(), point);
    });
}

#[test]
fn killed_at_any_step_of_a_collection_of_garbage() {
    killed_during("gc", |mirror, origin, [_, after], point| {
        after.assert_same(&mirror.users(), point);
        let again = finish(until(PROGRAM, 0, ["nothing", "gc"], &mirror.data(), origin));
        assert!(again.stdout.contains("removed"), "{point}: {again}");
        after.assert_same(&mirror.users(), point);
        let left = blocks_of(mirror.serve().zdb).len();
        assert_eq!(left, named_blocks(), "{point}");
        // What upstream has is wanted again, and comes.
        settle(origin, mirror, None, point);
    });
}

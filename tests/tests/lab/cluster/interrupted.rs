//! `create`, cut off at every boundary between its phases, twice.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use bcm_tests::{bcm::Running, lab::Machine};
use libtest_mimic::Failed;

use super::{
    bench::{Bench, LIMIT, create, lxc, members, online},
    fingerprint::{Closely, Fingerprint, fingerprint, same},
};
use crate::Outcome;

const THREE: [&str; 3] = ["node1", "node2", "node3"];

/// What `create` says when a phase begins, in order. The end of the last one begins the
/// verification.
const PHASES: [&str; 10] = [
    "connecting to",
    "install lxd",
    "begin the cluster",
    "\"project bcm\"",
    "join as node2",
    "join as node3",
    "storage pool bcm",
    "network bcmbr0",
    "default profile",
    "\"finished\",\"task\":PROFILE",
];

/// What it says when it has done everything.
const DONE: &str = "\"dry_run\":false";

/// Show: at each phase's beginning bcm is killed; a moment into the same phase, the next run loses
/// its SSH connections; running the same command again always gets further, and in the end there is
/// a healthy cluster, of which `destroy` leaves nothing.
pub(super) fn at_every_phase() -> Outcome {
    let bench = Bench::new(3)?;
    let fresh = all(&bench)?;
    let mut cut: BTreeMap<usize, u8> = BTreeMap::new();
    loop {
        let mut arguments = create(&THREE, &[]);
        arguments.extend(["--output", "json"]);
        let mut running = Running::start(bench.command(&arguments));
        let Some(phase) = next_phase(&mut running, &cut) else {
            running.finish(LIMIT).assert_code(0);
            break;
        };
        let times = cut.entry(phase).or_default();
        *times += 1;
        eprintln!("cut off at {:?}, time {times}", PHASES[phase]);
        if *times == 1 {
            running.kill();
        } else {
            // In the middle of it; packages take longer to install than everything else.
            thread::sleep(Duration::from_millis(if phase == 1 { 4000 } else { 300 }));
            let said = lose_connections(running, phase)?;
            // A quick phase is over by then, and it is the one after it that was cut off: a member
            // goes on joining by itself, so this may be the only time that it is seen.
            let mut later = (phase + 1..PHASES.len()).rev();
            if let Some(last) = later.find(|p| begun(&said, *p) && !said.contains(DONE)) {
                eprintln!("it had come to {:?}", PHASES[last]);
                *cut.entry(last).or_default() += 1;
            }
        }
    }
    // Phases that are quicker than the eye are rare, and those of a cluster are not among them.
    for (phase, name) in PHASES.iter().enumerate() {
        assert!(cut.contains_key(&phase), "{name} was never cut: {cut:?}");
    }
    whole(&bench)?;
    bench.run(&["destroy", "--yes"]).assert_code(0);
    for (number, before) in (1..).zip(&fresh) {
        let machine = bench.machine(number)?;
        same(&machine, before, &fingerprint(&machine, Closely::Restored)?)?;
    }
    Ok(bench.lab.take_down()?)
}

fn all(bench: &Bench) -> Result<Vec<Fingerprint>, Failed> {
    (1..=3)
        .map(|number| fingerprint(&bench.machine(number)?, Closely::Restored))
        .collect()
}

/// Waits for a phase that was not cut off twice yet; `None` when bcm ended before there was one.
fn next_phase(running: &mut Running, cut: &BTreeMap<usize, u8>) -> Option<usize> {
    let begin = Instant::now();
    loop {
        let said = running.said();
        let open = |phase: &usize| cut.get(phase).is_none_or(|times| *times < times_of(*phase));
        if let Some(phase) = (0..PHASES.len())
            .rev()
            .find(|phase| begun(&said, *phase) && open(phase))
        {
            return Some(phase);
        }
        if !running.is_running() {
            return None;
        }
        assert!(begin.elapsed() < LIMIT, "it hangs: {said}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a phase has begun by what was said.
fn begun(said: &str, phase: usize) -> bool {
    match PHASES[phase].strip_suffix("PROFILE") {
        None => said.contains(PHASES[phase]),
        Some(_) => finished(said, "default profile"),
    }
}

/// How often a phase is cut off: the last ones once, for what is done a moment later does not come
/// again.
fn times_of(phase: usize) -> u8 {
    if phase < PHASES.len() - 2 { 2 } else { 1 }
}

/// Whether the task whose name begins so has ended.
fn finished(said: &str, name: &str) -> bool {
    let events = || {
        said.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
    };
    let task = events().find(|e| {
        e["event"] == "started" && e["name"].as_str().is_some_and(|n| n.starts_with(name))
    });
    task.is_some_and(|task| events().any(|e| e["event"] == "finished" && e["task"] == task["task"]))
}

/// Kills the ssh processes of a bcm. It has to notice, and to say what to do. Gives back all that it
/// said.
fn lose_connections(running: Running, phase: usize) -> Result<String, Failed> {
    for id in connections(running.id(), "")? {
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-9", &id]).status()?;
    }
    // Only then is all of it read.
    let ended = running.finish(LIMIT);
    let said = format!("{}\n{}", ended.stdout, ended.stderr);
    // What had nothing more to ask for is done.
    let done = said.contains(DONE);
    let (starting, told) = (phase == 0, said.contains("same command"));
    assert!(done || starting || told, "{}: {said}", PHASES[phase]);
    Ok(said)
}

/// The ids of the masters of the SSH connections of process `id`, to machines with `host` in their
/// name.
fn connections(id: u32, host: &str) -> Result<Vec<String>, Failed> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let read = |file| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        let Some((_, fields)) = read("stat")
            .rsplit_once(')')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
        else {
            continue;
        };
        let parent = fields.split_ascii_whitespace().nth(1).map(str::to_owned);
        let line = read("cmdline").replace('\0', " ");
        let is_ssh = line
            .split(' ')
            .next()
            .is_some_and(|program| program.ends_with("ssh"));
        if parent == Some(id.to_string()) && is_ssh && line.contains(host) {
            found.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Three members and nothing of an attempt that failed.
fn whole(bench: &Bench) -> Outcome {
    bench.wait_healthy()?;
    let one = bench.machine(1)?;
    assert_eq!(members(&one)?, online(&THREE));
    nothing_pending(&one, &THREE)?;
    for machine in bench.lab.machines() {
        assert!(lxc(&machine, "ip -brief link show bcmbr0")?.starts_with("bcmbr0"));
    }
    Ok(())
}

/// No join token, and the certificates of the members alone.
fn nothing_pending(by: &Machine, names: &[&str]) -> Outcome {
    assert_eq!(lxc(by, "lxc cluster list-tokens --format csv")?, "");
    let trusted = lxc(by, "lxc query '/1.0/certificates?recursion=1'")?;
    let trusted: serde_json::Value = serde_json::from_str(&trusted)?;
    let mut trusted: Vec<&str> = trusted
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|certificate| certificate["name"].as_str())
        .collect();
    trusted.sort_unstable();
    assert_eq!(trusted, names);
    let pools = lxc(by, "lxc storage list --format csv")?;
    assert_eq!(pools.lines().count(), 1, "{pools}");
    assert!(pools.starts_with("bcm,"), "{pools}");
    Ok(())
}

/// When a connection is cut: as soon as bcm says that the machine joins, and what the cluster shows of
/// it by then.
const MOMENTS: [&str; 3] = [
    "true",
    "lxc cluster list-tokens --format csv | grep -q '^node2,'",
    "lxc cluster list --format csv | grep -q '^node2,'",
];

/// The connection to a machine breaks while that joins. It goes on by itself, so it has joined or
/// nothing of the attempt is left; the next run finishes either way.
pub(super) fn in_a_join() -> Outcome {
    let bench = Bench::with_engine(2)?;
    bench.create(&THREE[..1], &[]).assert_code(0);
    let one = bench.machine(1)?;
    for moment in MOMENTS {
        let mut arguments = create(&THREE[..2], &[]);
        arguments.extend(["--output", "json"]);
        let mut running = Running::start(bench.command(&arguments));
        running.wait_for("that node2 joins", |said| {
            said.contains("join as node2").then_some(())
        });
        // One that was too quick to be seen is a join that nothing cut off.
        let wait = format!("for n in $(seq 100); do if {moment}; then exit; fi; sleep 0.02; done");
        lxc(&one, &wait)?;
        for id in connections(running.id(), "node2")? {
            let _ = Command::new("kill").args(["-9", &id]).status()?;
        }
        let ended = running.finish(LIMIT);
        let now = members(&one)?;
        let joined = now == online(&THREE[..2]);
        eprintln!("after {moment}: exit {}, joined: {joined}", ended.code());
        assert!(joined || now == online(&THREE[..1]), "{now:?}: {ended}");
        nothing_pending(&one, &THREE[..if joined { 2 } else { 1 }])?;
        let again = bench.create(&THREE[..2], &[]).assert_code(0);
        assert!(again.stdout.contains("healthy"), "{again}");
        assert_eq!(members(&one)?, online(&THREE[..2]));
        // It keeps its engine for the next time.
        bench
            .run(&["remove", "node2", "--keep-engine"])
            .assert_code(0);
    }
    Ok(bench.lab.take_down()?)
}

//! A lab leaves nothing behind, however it ends.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bcm_tests::lab::{self, Lab, LabOptions, LabState};

use crate::{Outcome, Test, shared::options};

pub(crate) const TESTS: &[Test] = &[
    ("cleanup::after_a_panic", after_a_panic),
    (
        "cleanup::after_its_process_was_killed",
        after_its_process_was_killed,
    ),
    (
        "cleanup::after_everything_was_killed",
        after_everything_was_killed,
    ),
    (
        "cleanup::the_hosts_lxd_is_not_touched",
        the_hosts_lxd_is_not_touched,
    ),
];

/// The end of a lab is a matter of seconds.
const SOON: Duration = Duration::from_secs(60);

/// What a lab makes, as seen from outside.
struct Traces {
    id: String,
    folder: PathBuf,
}

impl Traces {
    fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            folder: options().root.join(id),
        }
    }

    /// What is there of it.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        if self.folder.exists() {
            left.push(format!("folder {}", self.folder.display()));
        }
        let link = format!("bcmlab{}", self.id);
        if Path::new("/sys/class/net").join(&link).exists() {
            left.push(format!("interface {link}"));
        }
        let tables = output("nft", &["list", "tables"]);
        if tables.contains(&self.id) {
            left.push(format!("table in {tables:?}"));
        }
        let loops = output(
            "losetup",
            &["--list", "--noheadings", "--output", "BACK-FILE"],
        );
        if loops.contains(&self.id) {
            left.push(format!("loop device of {loops:?}"));
        }
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let read = |file| fs::read_to_string(process.path().join(file)).unwrap_or_default();
            // By its control group, by its arguments, or by what it has mounted.
            if read("cgroup").contains(&format!("bcm-lab-{}", self.id))
                || read("cmdline").contains(self.folder.to_str().unwrap())
                || read("mounts").contains(self.folder.to_str().unwrap())
            {
                left.push(format!(
                    "process {:?} {}",
                    process.file_name(),
                    read("cmdline").replace('\0', " ")
                ));
            }
        }
        left
    }

    fn wait_gone(&self) {
        let start = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(start.elapsed() < SOON, "left after {SOON:?}: {left:#?}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn after_a_panic() -> Outcome {
    let (tell, told) = std::sync::mpsc::channel();
    let panicking = thread::spawn(move || {
        let lab = Lab::start(&LabOptions {
            machines: 1,
            ..options()
        });
        let _ = tell.send(lab.as_ref().map(Lab::id).map_err(ToString::to_string));
        panic!("on purpose");
    });
    let id = told.recv().unwrap()?;
    panicking.join().unwrap_err();
    // Dropping it waited.
    assert_eq!(Traces::of(&id).left(), Vec::<String>::new());
    Ok(())
}

/// A process that holds a lab with one machine until it is killed.
fn holder() -> (Child, Traces) {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["hold", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = holder.stdout.take().unwrap();
    let id = BufReader::new(stdout).lines().next().unwrap().unwrap();
    let traces = Traces::of(&id);
    // The folder, the cable, the rules, the disk's loop device and a handful of processes.
    let there = traces.left();
    assert!(there.len() > 8, "{there:#?}");
    for what in ["folder", "interface", "table", "loop device", "process"] {
        assert!(
            there.iter().any(|l| l.starts_with(what)),
            "{what}: {there:#?}"
        );
    }
    (holder, traces)
}

fn after_its_process_was_killed() -> Outcome {
    let (mut holder, traces) = holder();
    holder.kill()?;
    holder.wait()?;
    traces.wait_gone();
    Ok(())
}

fn after_everything_was_killed() -> Outcome {
    let (mut holder, traces) = holder();
    let found = lab::find(&options().root)?;
    let lab = found.iter().find(|lab| lab.id == traces.id).unwrap();
    let supervisor = lab.record.as_ref().unwrap().supervisor;
    // The supervisor first, so that it cannot clean up.
    assert!(
        Command::new("kill")
            .args(["-9", &supervisor.to_string()])
            .status()?
            .success()
    );
    holder.kill()?;
    holder.wait()?;
    // The kernel ends what was inside; what was outside waits for the next sweep.
    let start = Instant::now();
    while traces.left().iter().any(|left| left.starts_with("process")) {
        assert!(start.elapsed() < SOON, "{:#?}", traces.left());
        thread::sleep(Duration::from_millis(100));
    }
    let found = lab::find(&options().root)?;
    if let Some(lab) = found.iter().find(|lab| lab.id == traces.id) {
        // Unless another test started a lab just now, and swept.
        assert_eq!(lab.state, LabState::Dead);
    }
    lab::sweep(&options().root)?;
    traces.wait_gone();
    Ok(())
}

/// Everything under a folder, with the times of its changes.
fn listing(folder: &str) -> String {
    if !Path::new(folder).exists() {
        return String::new();
    }
    output("find", &[folder, "-printf", "%p %s %T@\\n"])
}

fn the_hosts_lxd_is_not_touched() -> Outcome {
    let folders = [
        "/var/lib/lxd",
        "/var/snap/lxd",
        "/var/lib/incus",
        "/var/lib/lxc",
        "/run/lxc",
    ];
    let before = folders.map(listing);
    let lab = Lab::start(&LabOptions {
        machines: 1,
        ..options()
    })?;
    lab.machine(1)?.power_cut()?;
    lab.take_down()?;
    assert_eq!(folders.map(listing), before);
    Ok(())
}

//! From three fresh machines to a verified cluster of LXD: the time by phase, and the ratio to the
//! same steps by hand over SSH, one machine after the other. Then `status` of that cluster, and the
//! ratio to asking each member by hand.
//!
//! Run it as root, with nothing else to do, on a host that `cargo lab doctor` is content with:
//! `cargo bench -p bcm-tests --bench cluster_create --profile dev`. (What it measures happens on the
//! machines; an optimised bcm changes nothing.) Both ways get fresh machines of their own and the
//! same packages from the same mirror, the way by hand first, so that whatever a proxy keeps is to
//! the disadvantage of neither.

mod by_hand;

use std::time::{Duration, Instant};

use bcm_tests::{
    bcm::{self, Running},
    lab::{Lab, LabOptions, doctor},
};

/// A machine that compiles at the same time installs packages slowly.
const LIMIT: Duration = Duration::from_secs(1800);

const HOSTS: [&str; 3] = ["node1", "node2", "node3"];

/// Whatever went wrong; somebody reads it.
type Failure = Box<dyn std::error::Error>;

/// Seconds by phase, in order.
type Phases = Vec<(&'static str, f64)>;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this is a bench: run it with `cargo bench`");
        return;
    }
    if let Err(missing) = doctor::check() {
        println!("it needs the laboratory: {missing}");
        return;
    }
    if let Err(error) = compare() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn compare() -> Result<(), Failure> {
    // Built before anything is timed.
    bcm::program();
    let lab = start()?;
    let by_hand = by_hand::create(&lab)?;
    let status_by_hand = best(3, || by_hand::status(&lab))?;
    lab.take_down()?;
    let lab = start()?;
    let (with_bcm, status) = by_bcm(&lab)?;
    lab.take_down()?;

    show("by hand, one machine after the other", &by_hand);
    show("bcm cluster create", &with_bcm);
    let (hand, bcm) = (total(&by_hand), total(&with_bcm));
    println!("by hand / bcm: {:.2}\n", hand / bcm);
    println!("asking every member by hand {status_by_hand:8.2} s");
    println!("bcm cluster status          {status:8.2} s");
    println!("by hand / bcm: {:.2}", status_by_hand / status);
    Ok(())
}

fn start() -> Result<Lab, Failure> {
    let options = LabOptions::new(env!("CARGO_BIN_EXE_lab"));
    Ok(Lab::start_saying(&options, &|text| println!("{text}"))?)
}

fn total(phases: &Phases) -> f64 {
    phases.iter().map(|(_, seconds)| seconds).sum()
}

fn show(title: &str, phases: &Phases) {
    println!("{title}");
    for (phase, seconds) in phases {
        println!("  {phase:<36} {seconds:8.1} s");
    }
    println!("  {:<36} {:8.1} s", "in all", total(phases));
}

/// The seconds that the fastest of some runs took.
fn best(runs: usize, mut run: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// What `create` takes by phase, and `status`.
fn by_bcm(lab: &Lab) -> Result<(Phases, f64), Failure> {
    let home = tempfile::tempdir()?;
    let run = |arguments: &[&str]| {
        let mut command = bcm::command(["cluster"]);
        command
            .args(arguments)
            .args(["--output", "json", "--ssh-config"])
            .arg(lab.ssh_config())
            .env("XDG_STATE_HOME", home.path())
            .current_dir(home.path());
        Running::start(command).finish(LIMIT)
    };
    let mut create = vec!["create", "--engine", "lxd"];
    for host in HOSTS {
        create.extend(["--host", host]);
    }
    let start = Instant::now();
    let created = run(&create).assert_code(0).json();
    let all = start.elapsed().as_secs_f64();
    let steps = Steps(serde_json::from_value(created["done"].clone())?);
    let mut phases: Phases = vec![
        // At the same time on all machines.
        ("install", steps.longest(": install ")),
        (
            "first member",
            steps.sum(": begin the cluster") + steps.exactly("project bcm"),
        ),
        ("two join", steps.sum(": join as ")),
        (
            "pool, network, profile",
            steps.sum("storage pool ") + steps.sum("network ") + steps.sum("default profile"),
        ),
    ];
    let rest = all - total(&phases);
    phases.insert(0, ("connect, look, check; verify", rest));
    let status = best(3, || {
        run(&["status"]).assert_code(0);
        Ok(())
    })?;
    Ok((phases, status))
}

/// What `create` did, in words, and the seconds that each step took.
struct Steps(Vec<(String, f64)>);

impl Steps {
    fn of(&self, chosen: impl Fn(&str) -> bool) -> impl Iterator<Item = f64> {
        self.0
            .iter()
            .filter(move |(step, _)| chosen(step))
            .map(|(_, seconds)| *seconds)
    }

    fn sum(&self, part: &str) -> f64 {
        self.of(|step| step.contains(part)).sum()
    }

    fn exactly(&self, name: &str) -> f64 {
        self.of(|step| step == name).sum()
    }

    fn longest(&self, part: &str) -> f64 {
        self.of(|step| step.contains(part)).fold(0.0, f64::max)
    }
}

//! From a running cluster of three members to a served, verified mirror of a demonstration: the time by phase.
//! Then what fronts give out with one, two and three replicas behind them, as ratios to one.
//!
//! Run it as root, with nothing else to do, on a host that `cargo lab doctor` is content with:
//! `cargo bench -p bcm-tests --bench stack --profile dev`. (An optimised bcm syncs faster; the phases are
//! those of the machines.) All members share the host's processors, so the ratios say what more replicas
//! give only where it has more of them than the clients and fronts take.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bcm_tests::{
    bcm::{self, Finished, Running},
    demo_origin::DemoOrigin,
    lab::{Lab, LabOptions, doctor},
};
use tempfile::TempDir;

/// A machine that compiles at the same time installs packages slowly.
const LIMIT: Duration = Duration::from_secs(1800);

const DOMAIN: &str = "example.test";

/// How long each number of replicas is asked.
const LOAD: Duration = Duration::from_secs(10);

/// Clients that ask at the same time.
const CLIENTS: usize = 12;

/// Whatever went wrong; somebody reads it.
type Failure = Box<dyn std::error::Error>;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this is a bench: run it with `cargo bench`");
        return;
    }
    if let Err(missing) = doctor::check() {
        println!("it needs the laboratory: {missing}");
        return;
    }
    if let Err(error) = measure() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

/// The operator's own folder and the lab.
struct Site {
    lab: Lab,
    home: TempDir,
}

impl Site {
    fn bcm(&self, arguments: &[&str]) -> Finished {
        let mut command = bcm::command(arguments);
        command
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.home.path())
            .current_dir(self.home.path());
        Running::start(command).finish(LIMIT)
    }
}

fn measure() -> Result<(), Failure> {
    // Built before anything is timed.
    bcm::program();
    let options = LabOptions::new(env!("CARGO_BIN_EXE_lab"));
    let lab = Lab::start_saying(&options, &|text| println!("{text}"))?;
    let site = Site {
        lab,
        home: tempfile::tempdir()?,
    };
    let config = site.lab.ssh_config();
    let config = config.to_string_lossy();
    let hosts = ["--host", "node1", "--host", "node2", "--host", "node3"];
    let mut create = vec![
        "cluster",
        "create",
        "--engine",
        "lxd",
        "--ssh-config",
        &config,
    ];
    create.extend(hosts);
    site.bcm(&create).assert_code(0);
    let gateway = site.lab.record().subnet.gateway();
    let origin = DemoOrigin::start(gateway, &site.home.path().join("origin"));
    std::fs::write(site.home.path().join("bcm.toml"), origin.settings(DOMAIN))?;
    phases(&site)?;
    reads(&site)?;
    site.bcm(&["stack", "remove", "--volumes", "--yes"])
        .assert_code(0);
    site.lab.take_down()?;
    Ok(())
}

fn phases(site: &Site) -> Result<(), Failure> {
    let begin = Instant::now();
    let started = site
        .bcm(&["stack", "start", "--output", "json"])
        .assert_code(0)
        .json();
    let deployed = begin.elapsed().as_secs_f64();
    while site.bcm(&["stack", "status"]).code() != 0 {
        if begin.elapsed() > LIMIT {
            return Err("the stack does not get well".into());
        }
    }
    let synced = begin.elapsed().as_secs_f64();
    site.bcm(&["stack", "run", "--", "hub", "verify"])
        .assert_code(0);
    let verified = begin.elapsed().as_secs_f64();
    let steps: Vec<(String, f64)> = serde_json::from_value(started["done"].clone())?;
    let of = |word: &str| -> f64 {
        let steps = steps.iter().filter(|(step, _)| step.starts_with(word));
        steps.map(|(_, seconds)| seconds).sum()
    };
    let done: f64 = steps.iter().map(|(_, seconds)| seconds).sum();
    for (phase, seconds) in [
        ("look, and build the image", deployed - done),
        ("volumes and instances", of("volume") + of("instance")),
        ("boot", of("start")),
        ("program, files, units, until they run", of("deliver")),
        ("until all are synced", synced - deployed),
        ("verify one replica", verified - synced),
        ("in all", verified),
    ] {
        println!("  {phase:<40} {seconds:8.1} s");
    }
    Ok(())
}

/// Requests that are answered in a second, with fewer and fewer replicas.
fn reads(site: &Site) -> Result<(), Failure> {
    let addresses: Vec<Ipv4Addr> = site.lab.machines().iter().map(|m| m.address()).collect();
    let mut rates = Vec::new();
    for replicas in [3_u8, 2, 1] {
        if replicas < 3 {
            let machine = site.lab.machine(replicas + 1)?;
            let stop = format!("lxc stop mirror-{} --project bcm --force", replicas + 1);
            machine.root_script(&stop, LIMIT)?;
            // The fronts leave it out.
            std::thread::sleep(Duration::from_secs(10));
        }
        rates.push((replicas, rate(&addresses)?));
    }
    let cores = std::thread::available_parallelism()?;
    let one = rates.last().map_or(1.0, |(_, rate)| *rate);
    println!(
        "requests in a second, {CLIENTS} clients, {cores} processors for all machines and clients"
    );
    for (replicas, rate) in rates.iter().rev() {
        println!(
            "  {replicas} replicas  {rate:8.0}  {:.2} of one",
            rate / one
        );
    }
    if cores.get() < 8 {
        println!(
            "  these processors are what limits them, not the replicas: more of them share the same"
        );
    }
    Ok(())
}

/// Whole answers in a second, of which none may fail.
fn rate(addresses: &[Ipv4Addr]) -> Result<f64, Failure> {
    let answered = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (answered, failed) = (&answered, &failed);
            scope.spawn(move || {
                let at = SocketAddr::from((addresses[client % addresses.len()], 80));
                while begin.elapsed() < LOAD {
                    let counter = match ask(at) {
                        Ok(true) => answered,
                        _ => failed,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    match failed.into_inner() {
        // Figures of requests are far below what a float holds exactly.
        0 => Ok(answered.into_inner() as f64 / seconds),
        failed => Err(format!("{failed} requests failed").into()),
    }
}

/// Whether the list of flists came.
fn ask(at: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET /api/fileslist HTTP/1.0\r\nHost: hub.{DOMAIN}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"))
}

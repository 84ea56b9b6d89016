//! A cluster with an operator, and something for it to mirror.

use std::{fs, net::Ipv4Addr, path::PathBuf, process::Command};

use bcm_tests::bcm::{self, Finished, Running};
use libtest_mimic::Failed;

use super::web::Web;
use crate::cluster::bench::{Bench, LIMIT};

pub(super) const DOMAIN: &str = "example.test";

/// A cluster on fresh machines, and a demonstration's mirror on the host as its upstream.
pub(super) struct Site {
    pub(super) bench: Bench,
    _origin: Running,
}

impl Site {
    pub(super) fn new(machines: u8) -> Result<Self, Failed> {
        let bench = Bench::new(machines)?;
        let hosts: Vec<String> = (1..=machines).map(|n| format!("node{n}")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        bench.create(&hosts, &[]).assert_code(0);
        let gateway = bench.lab.record().subnet.gateway();
        let (origin, toml) = origin(&bench, gateway)?;
        fs::write(bench.file("bcm.toml"), toml)?;
        Ok(Self {
            bench,
            _origin: origin,
        })
    }

    /// Runs `bcm …` as the operator.
    pub(super) fn bcm(&self, arguments: &[&str]) -> Finished {
        Running::start(self.command(arguments)).finish(LIMIT)
    }

    /// `bcm …` as the operator would run it.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let home = self.bench.file("");
        let mut command = bcm::command(arguments);
        command
            .env("HOME", &home)
            .env("XDG_STATE_HOME", &home)
            .current_dir(&home);
        command
    }

    /// The operator's program without what a debugger needs, which is quicker to carry.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf, Failed> {
        let path = self.bench.file(name);
        let stripped = Command::new("strip")
            .arg("-o")
            .arg(&path)
            .arg(bcm::program())
            .status()?;
        assert!(stripped.success());
        Ok(path)
    }

    pub(super) fn addresses(&self) -> Result<Vec<Ipv4Addr>, Failed> {
        let machines = self.bench.lab.machines();
        Ok(machines.iter().map(|machine| machine.address()).collect())
    }

    /// How the stack is.
    pub(super) fn status(&self) -> (i32, serde_json::Value) {
        let finished = self.bcm(&["stack", "status", "--output", "json"]);
        (finished.code(), finished.json())
    }

    /// Waits until every replica is well.
    pub(super) fn wait_well(&self) -> Result<serde_json::Value, Failed> {
        let begin = std::time::Instant::now();
        loop {
            let (code, status) = self.status();
            if code == 0 {
                return Ok(status);
            }
            if begin.elapsed() > std::time::Duration::from_secs(180) {
                return Err(format!("it does not get well: {status:#}").into());
            }
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
    }

    /// A client that trusts the root that a start showed.
    pub(super) fn web(&self, started: &serde_json::Value) -> Result<Web, Failed> {
        let root = started["root"].as_str().ok_or("no root")?;
        Web::new(&self.addresses()?, root)
    }
}

/// Starts the demonstration on the host's side of the lab, and says where it is, as settings.
fn origin(bench: &Bench, gateway: Ipv4Addr) -> Result<(Running, String), Failed> {
    let at = format!("{gateway}:0");
    let mut command = bcm::command(["stack", "start", "--here", "--demo", "--output", "json"]);
    command
        .args(["--http", &at, "--zdb", &at, "--bootstrap-http", &at])
        .arg("--data")
        .arg(bench.file("origin"));
    let mut origin = Running::start(command);
    let address = |said: &str, event: &str, field: &str| {
        let mut events = said.lines().filter_map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            (value["event"] == event).then(|| value[field][0].as_str().map(str::to_owned))?
        });
        events.next_back()
    };
    let hub = origin.wait_for("where the hub is", |said| address(said, "serving", "http"));
    let zdb = origin.wait_for("where the 0-db is", |said| address(said, "serving", "zdb"));
    let bootstrap = origin.wait_for("where the kernels are", |said| {
        address(said, "serving_bootstrap", "http")
    });
    origin.wait_for("that it is whole", |said| {
        said.contains("\"verify\"").then_some(())
    });
    let toml = format!(
        "[hub]\nupstream = [\"http://{hub}\"]\nupstream-zdb = [\"zdb://{zdb}\"]\ninterval = \"10s\"\n\
         [bootstrap]\nupstream = [\"http://{bootstrap}\"]\nsince = \"all\"\n\
         [stack]\ndomain = \"{DOMAIN}\"\ncertificates = \"internal\"\n"
    );
    Ok((origin, toml))
}

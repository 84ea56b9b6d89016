//! A cluster with an operator, and something for it to mirror.

use std::{fs, net::Ipv4Addr, path::PathBuf, process::Command};

use bcm_tests::{
    bcm::{self, Finished, Running},
    demo_origin::DemoOrigin,
};
use libtest_mimic::Failed;

use super::web::Web;
use crate::cluster::bench::{Bench, LIMIT};

pub(super) const DOMAIN: &str = "example.test";

/// A cluster on fresh machines, and a demonstration's mirror on the host as its upstream.
pub(super) struct Site {
    pub(super) bench: Bench,
    _origin: DemoOrigin,
}

impl Site {
    pub(super) fn new(machines: u8) -> Result<Self, Failed> {
        let bench = Bench::with_engine(machines)?;
        let hosts: Vec<String> = (1..=machines).map(|n| format!("node{n}")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        bench.create(&hosts, &[]).assert_code(0);
        let gateway = bench.lab.record().subnet.gateway();
        let origin = DemoOrigin::start(gateway, &bench.file("origin"));
        fs::write(bench.file("bcm.toml"), origin.settings(DOMAIN))?;
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

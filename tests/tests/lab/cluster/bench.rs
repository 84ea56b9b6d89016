//! What the tests of a cluster are made on: a laboratory, and `bcm` with a state folder of its own.

use std::{path::PathBuf, process::Command, time::Duration};

use bcm_tests::{
    bcm::{self, Finished, Running},
    lab::{Lab, LabOptions, Machine, Preinstalled},
};
use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::shared::options;

/// A machine that compiles at the same time installs packages slowly.
pub(crate) const LIMIT: Duration = Duration::from_secs(900);

/// A lab of its own, and an operator's folder.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    home: TempDir,
}

impl Bench {
    /// With machines of bookworm, whose engine is LXD.
    pub(crate) fn new(machines: u8) -> Result<Self, Failed> {
        Self::of(&LabOptions {
            machines,
            ..options()
        })
    }

    /// The same with LXD installed: for tests of what comes after that.
    pub(crate) fn with_engine(machines: u8) -> Result<Self, Failed> {
        Self::of(&LabOptions {
            machines,
            preinstalled: Preinstalled::Engine,
            ..options()
        })
    }

    pub(crate) fn of(options: &LabOptions) -> Result<Self, Failed> {
        Ok(Self {
            lab: Lab::start(options)?,
            home: tempfile::tempdir()?,
        })
    }

    pub(crate) fn machine(&self, number: u8) -> Result<Machine, Failed> {
        Ok(self.lab.machine(number)?)
    }

    /// A file in the operator's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `bcm cluster …`, which knows the lab's machines by the names `node1`, ….
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.arg("--ssh-config").arg(self.lab.ssh_config());
        command
    }

    /// `bcm cluster …`, which knows nothing of the lab.
    pub(crate) fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = bcm::command(["cluster"]);
        command
            .args(arguments)
            .env("XDG_STATE_HOME", self.home.path())
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    /// Runs `bcm cluster …` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Running::start(self.command(arguments)).finish(LIMIT)
    }

    /// `create` with these machines, and whatever else is said.
    pub(crate) fn create(&self, hosts: &[&str], more: &[&str]) -> Finished {
        self.run(&create(hosts, more))
    }

    /// What `status` says, and its exit code.
    pub(crate) fn status(&self) -> (i32, serde_json::Value) {
        let finished = self.run(&["status", "--output", "json"]);
        (finished.code(), finished.json())
    }

    /// Waits until `status` is content.
    pub(crate) fn wait_healthy(&self) -> Result<serde_json::Value, Failed> {
        let start = std::time::Instant::now();
        loop {
            let (code, status) = self.status();
            if code == 0 {
                return Ok(status);
            }
            if start.elapsed() > Duration::from_secs(120) {
                return Err(format!("it does not become healthy: {status:#}").into());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// The arguments of `create`.
pub(crate) fn create<'a>(hosts: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["create", "--engine", "lxd"];
    for host in hosts {
        arguments.extend(["--host", host]);
    }
    arguments.extend(more);
    arguments
}

/// Its own settings stay out of what is compared.
pub(crate) const LXC: &str = "export LXD_CONF=/run/lxc-of-tests\n";

/// Runs a script as root of a machine that `lxc` works in.
pub(crate) fn lxc(machine: &Machine, script: &str) -> Result<String, Failed> {
    let script = format!("{LXC}{script}");
    Ok(machine.root_script(&script, Duration::from_secs(300))?)
}

/// Names and states of the members, as the `lxc` of a machine sees them.
pub(crate) fn members(machine: &Machine) -> Result<Vec<(String, String)>, Failed> {
    Ok(listed(&lxc(machine, "lxc cluster list --format csv")?))
}

/// Waits until the members are these, and online. After a loss it takes the engine a few heartbeats
/// to see who is there.
pub(crate) fn wait_online(by: &Machine, names: &[&str]) -> Result<(), Failed> {
    let start = std::time::Instant::now();
    loop {
        let now = members(by)?;
        if now == online(names) {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(90) {
            return Err(format!("the members are {now:?}, not {names:?}, all online").into());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Waits until a member that is away counts as offline: the engine takes its time to see that.
pub(crate) fn wait_offline(by: &Machine, name: &str) -> Result<(), Failed> {
    let offline = (name.to_owned(), "OFFLINE".to_owned());
    let start = std::time::Instant::now();
    loop {
        let now = members(by)?;
        if now.contains(&offline) {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(90) {
            return Err(format!("{name} does not go offline: {now:?}").into());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Names and states out of the list of members that `lxc` and `incus` print.
pub(crate) fn listed(list: &str) -> Vec<(String, String)> {
    // NAME,URL,ROLES (in quotes where there are several),…,STATE,MESSAGE
    let state = |line: &str| {
        ["ONLINE", "OFFLINE", "EVACUATED", "BLOCKED"]
            .into_iter()
            .find(|state| line.contains(&format!(",{state},")))
            .unwrap_or("?")
            .to_owned()
    };
    let mut members: Vec<_> = list
        .lines()
        .filter_map(|line| Some((line.split(',').next()?.to_owned(), state(line))))
        .collect();
    members.sort();
    members
}

/// `names`, all online.
pub(crate) fn online(names: &[&str]) -> Vec<(String, String)> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), "ONLINE".to_owned()))
        .collect()
}

//! Somebody who makes clusters of virtual machines, with a home of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bcm_tests::bcm::{Finished, Running, command};
use libtest_mimic::Failed;
use tempfile::TempDir;

/// No command takes longer, on a machine with other work and in emulation.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A home that is there as long as this, and no machine that was started from it longer.
pub(crate) struct Operator {
    home: TempDir,
}

impl Operator {
    pub(crate) fn new() -> Result<Self, Failed> {
        Ok(Self {
            home: tempfile::Builder::new().prefix("bcm-vm.").tempdir()?,
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command
            .env("HOME", self.home.path())
            // Building an image takes longer than all the rest.
            .env("XDG_CACHE_HOME", cache());
        command
    }

    /// Runs `bcm` and fails unless it ends with `code`.
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Result<Finished, Failed> {
        let finished = Running::start(self.command(arguments)).finish(LIMIT);
        match finished.code() == code {
            true => Ok(finished),
            false => Err(format!("wrong exit code of {finished}\n{}", self.consoles()).into()),
        }
    }

    /// Where machines are kept.
    pub(crate) fn state(&self) -> PathBuf {
        self.home.path().join(".local/state/bcm/vms")
    }

    /// The processes of QEMU that were started for this operator's machines.
    pub(crate) fn machines(&self) -> Vec<u32> {
        let Ok(state) = self.state().canonicalize() else {
            return Vec::new();
        };
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|id: &u32| {
                let folder = fs::read_link(format!("/proc/{id}/cwd"));
                let is_machine = fs::read_link(format!("/proc/{id}/exe"))
                    .is_ok_and(|program| program.to_string_lossy().contains("qemu"));
                is_machine && folder.is_ok_and(|folder| folder.starts_with(&state))
            })
            .collect()
    }

    /// Fails unless nothing is left but images.
    pub(crate) fn nothing_is_left(&self) -> Result<(), Failed> {
        let machines = self.machines();
        if !machines.is_empty() {
            return Err(format!("these processes still run: {machines:?}").into());
        }
        match self.state().exists() {
            true => Err(format!("there is still something in {}", self.state().display()).into()),
            false => Ok(()),
        }
    }

    /// The ends of the machines' consoles.
    fn consoles(&self) -> String {
        let console = self.state().join("bcm/node1/console.log");
        let text = fs::read(console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        for id in self.machines() {
            // It may have ended by itself.
            let _ = Command::new("kill")
                .args(["-KILL", &id.to_string()])
                .status();
        }
    }
}

/// Where images stay between runs.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vm")
}

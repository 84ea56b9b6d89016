//! The `lxc` client, pointed at the lab's own daemon.

use std::{path::PathBuf, process::Command, time::Duration};

use super::{Captured, LabError, process, record::Folder};

/// How long any one request to the outer daemon may take; launching unpacks an image.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub(crate) struct Lxc {
    lxd_dir: PathBuf,
    config: PathBuf,
}

impl Lxc {
    pub(crate) fn new(folder: &Folder) -> Self {
        Self {
            lxd_dir: folder.lxd(),
            config: folder.lxc_config(),
        }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = process::command(program);
        command
            .env("LXD_DIR", &self.lxd_dir)
            .env("LXD_CONF", &self.config)
            .env_remove("LXD_SOCKET")
            .env_remove("LXD_REMOTE")
            .env_remove("LXD_PROJECT")
            .args(arguments);
        command
    }

    /// Runs `lxc ARGUMENTS`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, LabError> {
        process::succeed(&mut self.command("lxc", arguments), None, LIMIT).map(|c| c.stdout)
    }

    /// Runs `lxd init --preseed` with this document.
    pub(crate) fn preseed(&self, yaml: &str) -> Result<(), LabError> {
        let mut command = self.command("lxd", &["init", "--preseed"]);
        process::succeed(&mut command, Some(yaml.as_bytes()), LIMIT).map(|_| ())
    }

    /// Waits until the daemon answers.
    pub(crate) fn wait_ready(&self, limit: Duration) -> Result<(), LabError> {
        let seconds = limit.as_secs().to_string();
        let mut command = self.command("lxd", &["waitready", "--timeout", &seconds]);
        process::succeed(&mut command, None, limit + Duration::from_secs(5)).map(|_| ())
    }

    /// Runs a program as root in a machine, whatever its network and sshd do.
    pub(crate) fn exec(
        &self,
        machine: &str,
        argv: &[&str],
        input: Option<&[u8]>,
        limit: Duration,
    ) -> Result<Captured, LabError> {
        let mut arguments = vec!["exec", machine, "-T", "--"];
        arguments.extend(argv);
        process::capture(&mut self.command("lxc", &arguments), input, limit)
    }

    /// Asks the REST API.
    pub(crate) fn query(&self, path: &str) -> Result<serde_json::Value, LabError> {
        let text = self.run(&["query", path])?;
        serde_json::from_str(&text).map_err(|_| LabError::Answer {
            what: format!("lxc query {path}"),
            answer: process::tail(&text, 300),
        })
    }
}

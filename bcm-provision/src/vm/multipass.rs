//! Machines that Canonical's Multipass runs.
//!
//! Written from its documentation (`multipass launch`, `info --format json`, `stop`, `start`,
//! `delete --purge`); it was never run against the real program.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::fleet::{Node, NodeState, Resources};
use super::program::{self, Programs};
use super::{VmContext, VmError};

/// A machine to be launched.
#[derive(Debug, Clone)]
pub struct LaunchPlan<'a> {
    /// Its name.
    pub host: &'a str,
    /// What it is given.
    pub resources: Resources,
    /// How long Multipass may wait for it.
    pub limit: Duration,
}

impl LaunchPlan<'_> {
    /// The arguments. User data come through stdin: a snap cannot read files in hidden folders.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let resources = self.resources;
        [
            "launch",
            "--name",
            self.host,
            "--cpus",
            &resources.cpus.to_string(),
            "--memory",
            &format!("{}M", resources.memory >> 20),
            "--disk",
            &format!("{}M", resources.disk >> 20),
            "--timeout",
            &self.limit.as_secs().to_string(),
            "--cloud-init",
            "-",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

/// What Multipass says of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultipassInfo {
    /// Whether it runs.
    pub state: NodeState,
    /// Its first address of IPv4, while it runs.
    pub address: Option<Ipv4Addr>,
}

impl MultipassInfo {
    /// Reads what `multipass info NAME --format json` prints: `info`, an object by name with
    /// `state` and `ipv4`.
    #[must_use]
    pub fn parse(text: &str, host: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let machine = value.get("info")?.get(host)?;
        let state = match machine.get("state")?.as_str()? {
            "Running" | "Starting" | "Restarting" => NodeState::Running,
            // Deleted ones can be recovered by hand; they do not run.
            _ => NodeState::Stopped,
        };
        let addresses = machine.get("ipv4").and_then(Value::as_array);
        let address = addresses
            .into_iter()
            .flatten()
            .find_map(|address| address.as_str()?.parse().ok());
        Some(Self { state, address })
    }
}

/// The program.
#[derive(Debug, Clone)]
pub(crate) struct Multipass(PathBuf);

/// How long questions, and turning off, may take.
const LIMIT: Duration = Duration::from_secs(60);

impl Multipass {
    pub(crate) fn find(programs: &Programs) -> Option<Self> {
        programs.find("multipass").map(Self)
    }

    async fn run(
        &self,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<String, VmError> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        program::run(&self.0, &arguments, input, limit, |_| {}).await
    }

    /// What it says of `host`; `None` where there is no such machine.
    pub(crate) async fn info(&self, host: &str) -> Result<Option<MultipassInfo>, VmError> {
        let said = match self
            .run(&["info", host, "--format", "json"], b"", LIMIT)
            .await
        {
            Err(VmError::Program { said, .. }) if said.contains("does not exist") => {
                return Ok(None);
            }
            said => said?,
        };
        match MultipassInfo::parse(&said, host) {
            Some(info) => Ok(Some(info)),
            None => Err(VmError::Multipass {
                host: host.to_owned(),
                said: program::tail(said.as_bytes(), 5),
            }),
        }
    }

    /// Launches the machine, or starts what a run that was cut off launched; then sets its address.
    pub(crate) async fn launch(
        &self,
        context: &VmContext,
        node: &mut Node,
        user_data: &str,
    ) -> Result<(), VmError> {
        if self.info(&node.host).await?.is_none() {
            let plan = LaunchPlan {
                host: &node.host,
                resources: node.resources,
                limit: context.boot_limit,
            };
            let limit = context.boot_limit + LIMIT;
            program::run(
                &self.0,
                &plan.arguments(),
                user_data.as_bytes(),
                limit,
                |_| {},
            )
            .await?;
        }
        self.start(context, node).await
    }

    /// Starts the machine, and sets its address.
    pub(crate) async fn start(&self, context: &VmContext, node: &mut Node) -> Result<(), VmError> {
        let missing = |said: &str| VmError::Multipass {
            host: node.host.clone(),
            said: said.to_owned(),
        };
        let info = self.info(&node.host).await?;
        let info = info.ok_or_else(|| missing("there is no such machine"))?;
        let info = match (info.state, info.address) {
            (NodeState::Running, Some(_)) => info,
            _ => {
                let limit = context.boot_limit + LIMIT;
                self.run(&["start", &node.host], b"", limit).await?;
                let info = self.info(&node.host).await?;
                info.ok_or_else(|| missing("there is no such machine"))?
            }
        };
        let address = info.address.ok_or_else(|| missing("it has no address"))?;
        node.at = (IpAddr::V4(address), 22);
        Ok(())
    }

    /// Shuts the machine down.
    pub(crate) async fn stop(&self, host: &str, limit: Duration) -> Result<(), VmError> {
        self.run(&["stop", host], b"", limit + LIMIT)
            .await
            .map(drop)
    }

    /// Takes the machine away, where it is there.
    pub(crate) async fn delete(&self, host: &str) -> Result<(), VmError> {
        match self.info(host).await? {
            None => Ok(()),
            Some(_) => self
                .run(&["delete", "--purge", host], b"", 2 * LIMIT)
                .await
                .map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_on_the_command_line() {
        let plan = LaunchPlan {
            host: "home-node1",
            resources: Resources::default(),
            limit: Duration::from_secs(600),
        };
        assert_eq!(
            plan.arguments().join(" "),
            "launch --name home-node1 --cpus 2 --memory 2048M --disk 10240M --timeout 600 --cloud-init -"
        );
    }

    #[test]
    fn states_and_addresses_are_read() {
        let text = |state: &str, ipv4: &str| {
            format!(r#"{{"errors":[],"info":{{"m":{{"ipv4":{ipv4},"state":"{state}"}}}}}}"#)
        };
        let info = MultipassInfo::parse(&text("Running", r#"["10.1.2.3","10.9.9.9"]"#), "m");
        assert_eq!(
            info,
            Some(MultipassInfo {
                state: NodeState::Running,
                address: Some(Ipv4Addr::new(10, 1, 2, 3)),
            })
        );
        let info = MultipassInfo::parse(&text("Stopped", "[]"), "m").unwrap();
        assert_eq!((info.state, info.address), (NodeState::Stopped, None));
        for other in ["", "{}", &text("Running", "[]")] {
            assert_eq!(MultipassInfo::parse(other, "n"), None, "{other}");
        }
    }
}

//! A demonstration's mirror on the host's side of a lab, as the upstream of what its machines mirror.

use std::net::IpAddr;
use std::path::Path;

use crate::bcm::{self, Running};

/// A demonstration that serves until it is dropped.
pub struct DemoOrigin {
    /// Where its Hub is, `ADDRESS:PORT`.
    pub hub: String,
    /// Where its blocks are, `ADDRESS:PORT`.
    pub zdb: String,
    /// Where its kernels are, `ADDRESS:PORT`.
    pub bootstrap: String,
    _process: Running,
}

impl DemoOrigin {
    /// Starts one at `address`, on ports that the system picks, and waits until it is whole.
    #[track_caller]
    pub fn start(address: impl Into<IpAddr>, data: &Path) -> Self {
        let at = format!("{}:0", address.into());
        let demo = ["stack", "start", "--here", "--demo", "--output", "json"];
        let mut command = bcm::command(demo);
        command
            .args(["--http", &at, "--zdb", &at, "--bootstrap-http", &at])
            .arg("--data")
            .arg(data);
        let mut process = Running::start(command);
        let mut find =
            |event: &str, field: &str| process.wait_for(event, |said| found(said, event, field));
        let hub = find("serving", "http");
        let zdb = find("serving", "zdb");
        let bootstrap = find("serving_bootstrap", "http");
        process.wait_for("that it is whole", |said| {
            said.contains("\"verify\"").then_some(())
        });
        Self {
            hub,
            zdb,
            bootstrap,
            _process: process,
        }
    }

    /// The `bcm.toml` of who mirrors it under `domain`.
    pub fn settings(&self, domain: &str) -> String {
        format!(
            "[hub]\nupstream = [\"http://{}\"]\nupstream-zdb = [\"zdb://{}\"]\ninterval = \"10s\"\n\
             [bootstrap]\nupstream = [\"http://{}\"]\nsince = \"all\"\n\
             [stack]\ndomain = \"{domain}\"\ncertificates = \"internal\"\n",
            self.hub, self.zdb, self.bootstrap
        )
    }
}

/// The first address in `field` of the last `event`.
fn found(said: &str, event: &str, field: &str) -> Option<String> {
    let mut events = said.lines().filter_map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        (value["event"] == event).then(|| value[field][0].as_str().map(str::to_owned))?
    });
    events.next_back()
}

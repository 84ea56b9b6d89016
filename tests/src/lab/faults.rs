//! What can happen to a machine.

use std::time::Duration;

use super::{LabError, Machine, process};

const SHORT: Duration = Duration::from_secs(20);

/// After power comes back, sshd is up in seconds.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

impl Machine {
    fn lxc(&self, arguments: &[&str]) -> Result<(), LabError> {
        self.inner.lxc.run(arguments).map(|_| ())
    }

    /// Cuts the power: every process ends at once, nothing is shut down.
    ///
    /// What was written but not flushed survives, unlike on real hardware: the page cache is the
    /// host's.
    ///
    /// # Errors
    /// When the machine does not run.
    pub fn power_cut(&self) -> Result<(), LabError> {
        self.lxc(&["stop", "--force", self.name()])
    }

    /// Switches the machine on and waits until its sshd greets. Its address, keys and disk are the
    /// same as before.
    ///
    /// # Errors
    /// When it runs already, or does not come up.
    pub fn power_on(&self) -> Result<(), LabError> {
        self.lxc(&["start", self.name()])?;
        self.wait_ssh(BOOT_LIMIT)
    }

    /// Stops every process where it is. The kernel still answers for the machine: connections are
    /// made, and nothing comes back on them.
    ///
    /// # Errors
    /// When the machine does not run.
    pub fn pause(&self) -> Result<(), LabError> {
        self.lxc(&["pause", self.name()])
    }

    /// Lets the processes of a paused machine go on.
    ///
    /// # Errors
    /// When it is not paused.
    pub fn resume(&self) -> Result<(), LabError> {
        self.lxc(&["start", self.name()])
    }

    /// Pulls the network cable. The machine sees that it has no carrier.
    ///
    /// # Errors
    /// When the machine does not run.
    pub fn unplug(&self) -> Result<(), LabError> {
        self.cable("down")
    }

    /// Puts the network cable back. The machine asks for its address again, which takes a moment:
    /// [`Machine::wait_ssh`] waits for that.
    ///
    /// # Errors
    /// When the machine does not run.
    pub fn plug(&self) -> Result<(), LabError> {
        self.cable("up")
    }

    fn cable(&self, state: &str) -> Result<(), LabError> {
        let interface = self.interface()?;
        let Some(device) = interface["host_name"]
            .as_str()
            .filter(|name| !name.is_empty())
        else {
            return Err(LabError::Answer {
                what: format!("the network of {}", self.name()),
                answer: process::tail(&interface.to_string(), 300),
            });
        };
        let init = self.inner.record().init.to_string();
        process::succeed(
            process::command("nsenter")
                .args(["-t", &init, "-n", "ip", "link", "set", device, state]),
            None,
            SHORT,
        )
        .map(|_| ())
    }

    /// Drops, without an answer, what comes in for a TCP port: new connections and established ones.
    /// It lasts until [`Machine::undrop_port`] or a power cut.
    ///
    /// # Errors
    /// When the machine does not run.
    pub fn drop_port(&self, port: u16) -> Result<(), LabError> {
        self.nft(&format!(
            "table inet lab_faults {{\n\
             set ports {{ type inet_service; }}\n\
             chain in {{ type filter hook input priority -300; }}\n\
             }}\n\
             flush chain inet lab_faults in\n\
             add rule inet lab_faults in tcp dport @ports drop\n\
             add element inet lab_faults ports {{ {port} }}\n"
        ))
    }

    /// Takes back [`Machine::drop_port`].
    ///
    /// # Errors
    /// When the port is not dropped.
    pub fn undrop_port(&self, port: u16) -> Result<(), LabError> {
        self.nft(&format!(
            "delete element inet lab_faults ports {{ {port} }}\n"
        ))
    }

    fn nft(&self, rules: &str) -> Result<(), LabError> {
        let script = format!("nft -f - <<'END'\n{rules}END\n");
        self.root_script(&script, SHORT).map(|_| ())
    }
}

//! One machine of the lab.

use std::{
    io::Read,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Captured, LabError, MachineRecord, handle::Inner, process};

/// A machine that boots while others compile.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// How long a command over SSH may take unless the caller says otherwise.
const SSH_LIMIT: Duration = Duration::from_secs(60);

/// A machine with an address, sshd, a user `bcm` with sudo and a user `plain` without.
///
/// A value of this type is a handle: cloning it makes no machine, dropping it ends none.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(crate) inner: Arc<Inner>,
    record: MachineRecord,
}

/// A machine that was just made, and the lines that `known_hosts` gets for it.
pub(crate) struct Created {
    pub(crate) record: MachineRecord,
    pub(crate) known_hosts: String,
}

impl Machine {
    pub(crate) fn new(inner: Arc<Inner>, record: MachineRecord) -> Self {
        Self { inner, record }
    }

    /// Makes machine `number`, boots it, waits for its sshd and notes its host keys.
    pub(crate) fn create(inner: Arc<Inner>, number: u8) -> Result<Created, LabError> {
        let lab = inner.record();
        let name = format!("node{number}");
        let address = lab.subnet.address(10 + number);
        let key_path = inner.folder.identity().with_extension("pub");
        let key = std::fs::read_to_string(&key_path).map_err(LabError::io("read", &key_path))?;
        let resolv = format!("nameserver {}\nsearch lab\n", lab.subnet.name_server());
        let config = [("resolv", resolv.as_str()), ("key", &key)]
            .map(|(key, value)| format!("user.lab.{key}={value}"));
        let device = format!("eth0,ipv4.address={address}");
        let mut arguments = vec!["launch", "base", &name, "--quiet", "-d", &device];
        for setting in &config {
            arguments.extend(["-c", setting]);
        }
        inner.lxc.run(&arguments)?;
        let mut machine = Self {
            inner,
            record: MachineRecord {
                number,
                name,
                address,
                ipv6: None,
            },
        };
        machine.wait_ssh(BOOT_LIMIT)?;
        machine.record.ipv6 = machine.find_ipv6()?;
        Ok(Created {
            known_hosts: machine.host_key_lines()?,
            record: machine.record,
        })
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.record.number
    }

    /// Its host name, `node` and its number. The lab's name server knows it, with `.lab` and
    /// without.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its address, reachable from this host and from the other machines.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.record.address
    }

    /// Its IPv6 address, if the kernel has IPv6.
    #[must_use]
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        self.record.ipv6
    }

    /// Runs a command as `user` over SSH, as a person would, with host keys strictly checked.
    ///
    /// # Errors
    /// When ssh cannot be started or does not end within a minute. A command that fails, or a
    /// connection that ssh cannot make (status 255), is an answer and not an error.
    pub fn ssh(&self, user: &str, argv: &[&str]) -> Result<Captured, LabError> {
        self.ssh_within(user, argv, SSH_LIMIT)
    }

    /// [`Machine::ssh`] with another limit.
    ///
    /// # Errors
    /// Those of [`Machine::ssh`].
    pub fn ssh_within(
        &self,
        user: &str,
        argv: &[&str],
        limit: Duration,
    ) -> Result<Captured, LabError> {
        let mut command = self.ssh_command(user);
        command.args(["-o", "ConnectTimeout=10", "-o", "BatchMode=yes"]);
        command.arg(&self.record.name).arg("--");
        command.args(argv.iter().map(|argument| quote(argument)));
        process::capture(&mut command, None, limit)
    }

    /// An `ssh` that knows the lab's key and host keys, up to and without the machine's name.
    #[must_use]
    pub fn ssh_command(&self, user: &str) -> Command {
        let mut command = process::command("ssh");
        command
            .arg("-F")
            .arg(self.inner.folder.ssh_config())
            .args(["-l", user]);
        command
    }

    /// Runs a command as root without network or sshd, to look at a machine or prepare one.
    ///
    /// # Errors
    /// When the machine does not run, the command fails, or it does not end in time.
    pub fn root(&self, argv: &[&str], limit: Duration) -> Result<String, LabError> {
        self.checked(argv, None, limit)
    }

    /// Runs a shell script as root, like [`Machine::root`]. It stops at the first failure.
    ///
    /// # Errors
    /// Those of [`Machine::root`].
    pub fn root_script(&self, script: &str, limit: Duration) -> Result<String, LabError> {
        self.checked(&["sh", "-eu", "-s"], Some(script.as_bytes()), limit)
    }

    fn checked(
        &self,
        argv: &[&str],
        input: Option<&[u8]>,
        limit: Duration,
    ) -> Result<String, LabError> {
        let captured = self.inner.lxc.exec(&self.record.name, argv, input, limit)?;
        if captured.status.success() {
            return Ok(captured.stdout);
        }
        Err(LabError::Failed {
            command: format!("{} on {}", argv.join(" "), self.record.name),
            status: captured.status.to_string(),
            output: process::tail(&[&*captured.stdout, &*captured.stderr].concat(), 2000),
        })
    }

    /// Whether a TCP port of the machine takes a connection from this host within a second.
    #[must_use]
    pub fn port_open(&self, port: u16) -> bool {
        let address = SocketAddr::from((self.record.address, port));
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    }

    /// Waits until sshd greets.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub fn wait_ssh(&self, limit: Duration) -> Result<(), LabError> {
        let start = Instant::now();
        loop {
            let last_seen = match self.greeting() {
                Ok(greeting) if greeting.starts_with(b"SSH-") => return Ok(()),
                Ok(greeting) => format!("greeted with {:?}", String::from_utf8_lossy(&greeting)),
                Err(error) => error.to_string(),
            };
            if start.elapsed() > limit {
                return Err(bcm_core::wait::Timeout {
                    what: format!("sshd on {}", self.record.name),
                    waited: start.elapsed(),
                    last_seen,
                }
                .into());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn greeting(&self) -> std::io::Result<Vec<u8>> {
        let address = SocketAddr::from((self.record.address, 22));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut greeting = vec![0; 4];
        stream.read_exact(&mut greeting)?;
        Ok(greeting)
    }

    /// The machine's public host keys as `known_hosts` lines, read past the network.
    fn host_key_lines(&self) -> Result<String, LabError> {
        let keys = self.root(
            &["sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub"],
            Duration::from_secs(20),
        )?;
        let mut names = format!(
            "{name},{name}.lab,{}",
            self.record.address,
            name = self.record.name
        );
        if let Some(ipv6) = self.record.ipv6 {
            names.push_str(&format!(",{ipv6}"));
        }
        Ok(keys
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(' ');
                Some(format!("{names} {} {}\n", fields.next()?, fields.next()?))
            })
            .collect())
    }

    /// What the outer daemon knows of the machine's network interface.
    pub(crate) fn interface(&self) -> Result<serde_json::Value, LabError> {
        let state = self
            .inner
            .lxc
            .query(&format!("/1.0/instances/{}/state", self.record.name))?;
        Ok(state["network"]["eth0"].clone())
    }

    fn find_ipv6(&self) -> Result<Option<Ipv6Addr>, LabError> {
        let start = Instant::now();
        // Some hosts have no IPv6 at all; those that do announce it within a second or two.
        while start.elapsed() < Duration::from_secs(8) {
            let interface = self.interface()?;
            let addresses = interface["addresses"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let global = addresses
                .iter()
                .filter(|a| a["family"] == "inet6" && a["scope"] == "global")
                .find_map(|a| a["address"].as_str()?.parse().ok());
            if global.is_some() {
                return Ok(global);
            }
            if !addresses.iter().any(|a| a["family"] == "inet6") {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(None)
    }
}

/// One word of a POSIX shell's command line.
fn quote(argument: &str) -> String {
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word() {
        let odd = "a b'c $HOME `x` \\ \"";
        let captured = process::capture(
            process::command("sh").args(["-c", &format!("printf %s {}", quote(odd))]),
            None,
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!(captured.stdout, odd);
    }
}
